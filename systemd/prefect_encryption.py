"""Encrypts the blocks with the key of the vault, before the server starts.

Without PREFECT_SERVER_ENCRYPTION_KEY, Prefect keeps a key of its own beside the blocks, and each dump holds both.
Such a key is in the database of an older host, and comes back with an older backup. It is removed here.
"""

import asyncio
import json
import os
import sys

import asyncpg
from cryptography.fernet import Fernet, InvalidToken, MultiFernet


async def main(key: str) -> None:
    """Encrypt what the database's own key has encrypted; raises ValueError if the key cannot be one."""
    connection = await asyncpg.connect(host="/var/run/postgresql", database="prefect")
    async with connection.transaction():
        own = await connection.fetchval("SELECT value FROM configuration WHERE key = 'ENCRYPTION_KEY' FOR UPDATE")
        if own is None:
            return
        keys = MultiFernet([Fernet(key), Fernet(json.loads(own)["fernet_key"])])
        for block in await connection.fetch("SELECT id, name, data FROM block_document"):
            try:
                data = keys.rotate(json.loads(block["data"])).decode()
            except InvalidToken:
                print(f"The block {block['name']} has another key: write its value again", file=sys.stderr)
                continue
            await connection.execute("UPDATE block_document SET data = $1 WHERE id = $2", json.dumps(data), block["id"])
        await connection.execute("DELETE FROM configuration WHERE key = 'ENCRYPTION_KEY'")
    await connection.close()


if __name__ == "__main__":
    asyncio.run(main(os.environ["PREFECT_SERVER_ENCRYPTION_KEY"]))
