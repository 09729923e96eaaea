"""Encrypts the blocks with the key of the vault, before the server starts.

Without PREFECT_SERVER_ENCRYPTION_KEY, Prefect keeps a key beside the blocks, and each dump holds both.
Such a key is in the database of an older host, and comes back with an older backup. It is removed here.
"""

import asyncio
import json
import os
import sys

import asyncpg  # type: ignore[import-untyped]
from cryptography.fernet import Fernet, InvalidToken, MultiFernet


def main() -> None:
    """Encrypt what the database's key has encrypted; raises ValueError if the key of the vault cannot be one."""
    asyncio.run(take_over(os.environ["PREFECT_SERVER_ENCRYPTION_KEY"]))


async def take_over(key: str) -> None:
    """Encrypt the blocks with this key, 32 bytes in URL-safe base64, and remove that of the database."""
    connection = await asyncpg.connect(host="/var/run/postgresql", database="prefect")
    async with connection.transaction():
        stored = await connection.fetchval("SELECT value FROM configuration WHERE key = 'ENCRYPTION_KEY' FOR UPDATE")
        if stored is None:
            return
        keys = MultiFernet([Fernet(key), Fernet(json.loads(stored)["fernet_key"])])
        for block in await connection.fetch("SELECT id, name, data FROM block_document"):
            try:
                data = keys.rotate(json.loads(block["data"])).decode()
            except InvalidToken:
                print(f"The block {block['name']} has another key: write its value again", file=sys.stderr)
                continue
            await connection.execute("UPDATE block_document SET data = $1 WHERE id = $2", json.dumps(data), block["id"])
        await connection.execute("DELETE FROM configuration WHERE key = 'ENCRYPTION_KEY'")
    await connection.close()
