from mer.base.errors import quiet_interrupt

quiet_interrupt()  # before a stage's own imports, which take up to a second
