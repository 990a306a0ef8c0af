from mer.base import portable

portable.cap()  # before numpy or torch is imported by any module of the package
