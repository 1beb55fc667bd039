# Logs are dropped: a decision logs nothing.
class _Logger:
    def debug(self, *args, **fields):
        return None

    def info(self, *args, **fields):
        return None

    def warning(self, *args, **fields):
        return None

    def error(self, *args, **fields):
        return None

    def exception(self, *args, **fields):
        return None

    def bind(self, **fields):
        return self


ak_logger = _Logger()
