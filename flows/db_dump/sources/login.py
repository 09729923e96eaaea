"""How to reach a database."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Login:
    """Address and credentials; `port` and `charset` None mean the usual ones of the database."""

    host: str
    database: str
    user: str
    password: str = field(repr=False)
    port: int | None = None
    charset: str | None = None
