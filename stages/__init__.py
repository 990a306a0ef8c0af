import mer  # noqa: F401  before a stage's own imports: Ctrl-C meanwhile is one line
