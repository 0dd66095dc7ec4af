"""``python -m fastinv``."""

from fastinv.cli import app

if __name__ == "__main__":
    app(prog_name="fastinv")
