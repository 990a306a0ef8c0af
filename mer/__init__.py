from mer import portable

portable.cap()  # before numpy or torch is imported by any module of the package
