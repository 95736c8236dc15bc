"""Bytes in hexadecimal, as several commands of ovs-ofctl are given them."""

from utilities.command_line import Fatal


def read_hex(text: str) -> bytes:
    """The bytes that hexadecimal digits, with blanks between bytes, stand for.  Raises Fatal."""
    data = bytearray()
    position = 0
    while True:
        while position < len(text) and text[position] in " \t\r\n":
            position += 1
        pair = text[position:position + 2]
        if len(pair) < 2:
            break
        try:
            data += bytes.fromhex(pair)
        except ValueError:
            break
        position += 2
    if text[position:].strip():
        raise Fatal("trailing garbage following hex bytes")
    return bytes(data)
