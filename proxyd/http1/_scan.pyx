# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Common heads in one pass, compiled: what ``parser`` does with regular expressions for any head.

Optional: where it was not built, the regular expressions serve. It takes only what is plain. Whatever is
malformed, incomplete or in any way unusual gives None here, so that one piece of code, the Python one, decides
about it; tests hold the two equal where this one answers.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE, _PyBytes_Resize
from cpython.ref cimport Py_DECREF, PyObject
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdint cimport uint64_t
from libc.string cimport memchr, memcmp, memcpy

cdef enum:
    CAPACITY = 65536  # bytes of a head; larger ones are left to Python
    LONGEST = 32  # bytes of a field name that has a meaning here
    MOST = 16  # field names looked for in one pass

    ONCE_HOST = 1
    ONCE_LENGTH = 2
    ONCE_CODING = 4
    ONCE_TYPE = 8
    ONCE_AUTHORIZATION = 16
    ONCE_CONNECTION = 32
    ONCE_KEEP_ALIVE = 64

cdef extern from "Python.h":
    PyObject* new_bytes "PyBytes_FromStringAndSize" (const char*, Py_ssize_t) except NULL

cdef unsigned char[256] TOKEN  # 0: not in a field name (RFC 9110 section 5.6.2); otherwise the byte in lower case
cdef unsigned char[256] VALUE  # 1: in a field value (RFC 9110 section 5.5)
cdef unsigned char[256] PATH  # 1: in a path segment without being escaped (RFC 3986 section 3.3)
cdef char[CAPACITY] kept  # what is being put together; the interpreter's lock guards it


def _fill():
    cdef int byte
    for byte in range(256):
        TOKEN[byte] = 0
        PATH[byte] = 0
        VALUE[byte] = byte == 0x09 or 0x20 <= byte <= 0x7E or byte >= 0x80
    for byte in b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz":
        TOKEN[byte] = byte
    for byte in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        TOKEN[byte] = byte + 32
    for byte in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@":
        PATH[byte] = 1


_fill()


cdef struct Fields:
    Py_ssize_t end  # behind the empty line
    Py_ssize_t kept  # bytes in ``kept``
    int seen  # ONCE_ bits
    bint close  # Connection: close
    long long length  # Content-Length, -1 for none
    Py_ssize_t host_start
    Py_ssize_t host_end
    int idle  # seconds of Keep-Alive: timeout=, -1 for none


cdef inline bint same(const char* value, Py_ssize_t size, const char* text, Py_ssize_t length) noexcept:
    """Whether a value is a text given in lower case, whatever the value's case."""
    cdef Py_ssize_t index
    if size != length:
        return False
    for index in range(size):
        if TOKEN[<unsigned char> value[index]] != <unsigned char> text[index]:
            return False
    return True


cdef long long number(const char* value, Py_ssize_t size) noexcept:
    """Return a number of 1 to 18 digits, -1 for anything else."""
    cdef Py_ssize_t index
    cdef long long result = 0
    if size < 1 or size > 18:
        return -1
    for index in range(size):
        if not 48 <= value[index] <= 57:
            return -1
        result = result * 10 + value[index] - 48
    return result


cdef bint once(Fields* fields, int bit) noexcept:
    if fields.seen & bit:
        return False
    fields.seen |= bit
    return True


cdef inline bint all_visible(const char* text) noexcept:
    """Whether eight bytes are all of a field value and no tab: none below 0x20, and no 0x7F."""
    cdef uint64_t word, odd
    memcpy(&word, text, 8)
    odd = word ^ <uint64_t> 0x7F7F7F7F7F7F7F7F
    odd = (odd - <uint64_t> 0x0101010101010101) & ~odd
    word = (word - <uint64_t> 0x2020202020202020) & ~word
    return not ((odd | word) & <uint64_t> 0x8080808080808080)


cdef int special(Fields* fields, const char* name, Py_ssize_t length, const char* value, Py_ssize_t size,
                 Py_ssize_t position, bint request) noexcept:
    """Take a field that has a meaning here: 1 to keep its line, 0 to leave it out, -1 to leave the head to Python."""
    if length == 4 and not memcmp(name, b"host", 4) and request:
        fields.host_start = position
        fields.host_end = position + size
        return 0 if once(fields, ONCE_HOST) else -1
    if length == 10 and not memcmp(name, b"connection", 10):
        if not once(fields, ONCE_CONNECTION):
            return -1
        if same(value, size, b"close", 5):
            fields.close = True
            return 0
        return 0 if same(value, size, b"keep-alive", 10) else -1
    if length == 14 and not memcmp(name, b"content-length", 14):
        if size > 1 and value[0] == 48:  # leading zeros are taken off there
            return -1
        fields.length = number(value, size)
        return 1 if fields.length >= 0 and once(fields, ONCE_LENGTH) else -1
    if length == 12 and not memcmp(name, b"content-type", 12):
        return 1 if once(fields, ONCE_TYPE) else -1
    if length == 13 and not memcmp(name, b"authorization", 13):
        return 1 if once(fields, ONCE_AUTHORIZATION) else -1
    if length == 17 and not memcmp(name, b"transfer-encoding", 17):
        if request or not same(value, size, b"chunked", 7):
            return -1
        return 0 if once(fields, ONCE_CODING) else -1
    if length == 10 and not memcmp(name, b"keep-alive", 10):
        if request:
            return 0
        if size > 8 and not memcmp(value, b"timeout=", 8):
            fields.idle = <int> min(number(value + 8, size - 8), 1 << 30)
        return 0 if fields.idle >= 0 and once(fields, ONCE_KEEP_ALIVE) else -1
    if length == 2 and not memcmp(name, b"te", 2):
        return -1
    if length == 7 and not memcmp(name, b"upgrade", 7):
        return -1
    if length == 16 and not memcmp(name, b"proxy-connection", 16):
        return -1
    if not request:
        return 1
    # What only a request has: fields that the forwarder replaces or looks at.
    if length == 5 and not memcmp(name, b"proxy", 5):
        return -1
    if length == 6 and not memcmp(name, b"expect", 6):
        return -1
    if length == 9 and not memcmp(name, b"x-real-ip", 9):
        return -1
    # The fields that say which trace a request belongs to (telemetry/propagation.py).
    if length == 11 and not memcmp(name, b"traceparent", 11):
        return -1
    if length == 10 and not memcmp(name, b"tracestate", 10):
        return -1
    if length == 2 and not memcmp(name, b"b3", 2):
        return -1
    if length >= 5 and not memcmp(name, b"x-b3-", 5):
        return -1
    if length == 13 and not memcmp(name, b"uber-trace-id", 13):
        return -1
    if length == 14 and not memcmp(name, b"http2-settings", 14):
        return -1
    if length == 17 and not memcmp(name, b"x-kong-request-id", 17):
        return -1
    if length >= 12 and not memcmp(name, b"x-forwarded-", 12):
        return -1
    # An identity that the client claims.
    if length >= 10 and (not memcmp(name, b"x-consumer", 10) or not memcmp(name, b"x-credenti", 10)
                         or not memcmp(name, b"x-anonymou", 10) or not memcmp(name, b"x-authenti", 10)
                         or not memcmp(name, b"x-client-c", 10)):
        return -1
    return 1


cdef bint scan_fields(Fields* fields, const char* data, Py_ssize_t position, Py_ssize_t end, Py_ssize_t limit,
                      bint request) noexcept:
    """Scan the lines from ``position`` to the empty one; false for what is not plain."""
    cdef char[LONGEST] name
    cdef Py_ssize_t start, length, value, stop
    cdef int verdict
    fields.kept = 0
    fields.seen = 0
    fields.close = False
    fields.length = -1
    fields.host_start = fields.host_end = 0
    fields.idle = -1
    while position + 1 < end:
        if data[position] == 13:
            if data[position + 1] != 10:
                return False
            fields.end = position + 2
            return True
        start = position
        while position < end and TOKEN[<unsigned char> data[position]]:
            if data[position] == 95 and request:  # _ is - to CGI and WSGI
                return False
            if position - start < LONGEST:
                name[position - start] = TOKEN[<unsigned char> data[position]]
            position += 1
        length = position - start
        if not length or position >= end or data[position] != 58:  # a colon right behind the name
            return False
        position += 1
        while position < end and (data[position] == 32 or data[position] == 9):
            position += 1
        value = position
        while position + 8 <= end and all_visible(data + position):
            position += 8
        while position < end and VALUE[<unsigned char> data[position]]:
            position += 1
        if position + 1 >= end or data[position] != 13 or data[position + 1] != 10:
            return False
        stop = position
        while stop > value and (data[stop - 1] == 32 or data[stop - 1] == 9):
            stop -= 1
        position += 2
        limit -= 1
        if limit < 0:
            return False
        verdict = 1
        if length < LONGEST:
            verdict = special(fields, name, length, data + value, stop - value, value, request)
        if verdict < 0:
            return False
        if verdict:
            memcpy(kept + fields.kept, data + start, position - start)
            fields.kept += position - start
    return False


def scan_request(bytes data not None, Py_ssize_t line_limit, Py_ssize_t size_limit, Py_ssize_t count_limit):
    """Return what a plain request head says, or None.

    ``(size, method, target, path, query, host, framing, keep_alive, fields)``: the head's bytes taken, its
    parts as text, the value of Host, the body's length, whether the connection persists, and the lines of all
    fields but Host and Connection. Plain is HTTP/1.1, a path without escapes and dot segments, a body of known
    length if any, and no field that describes the hop or that a proxy wrote.
    """
    cdef const char* text = PyBytes_AS_STRING(data)
    cdef Py_ssize_t end = PyBytes_GET_SIZE(data)
    cdef Py_ssize_t position = 0, method_end, path_end, target_end
    cdef unsigned char byte, before = 0
    cdef Fields fields
    if end > size_limit + 4:
        end = size_limit + 4
    if end > CAPACITY:
        end = CAPACITY
    while position < end and 65 <= text[position] <= 90:
        position += 1
    method_end = position
    if not method_end or position + 1 >= end or text[position] != 32 or text[position + 1] != 47:
        return None
    position += 1
    while position < end:
        byte = <unsigned char> text[position]
        if byte == 47:
            if before == 47:
                return None
        elif not PATH[byte] or (byte == 46 and before == 47):
            break
        before = byte
        position += 1
    path_end = position
    if position < end and text[position] == 63:
        position += 1
        while position < end and (36 <= text[position] <= 126 or 33 <= text[position] <= 34):
            position += 1
    target_end = position
    if position + 11 > end or memcmp(text + position, b" HTTP/1.1\r\n", 11):
        return None
    position += 11
    if position > line_limit or (method_end == 7 and not memcmp(text, b"CONNECT", 7)):
        return None
    if method_end == 5 and not memcmp(text, b"TRACE", 5):
        return None
    if not scan_fields(&fields, text, position, end, count_limit, True) or fields.host_end == fields.host_start:
        return None
    return (
        fields.end,
        PyUnicode_DecodeASCII(text, method_end, NULL),
        PyUnicode_DecodeASCII(text + method_end + 1, target_end - method_end - 1, NULL),
        PyUnicode_DecodeASCII(text + method_end + 1, path_end - method_end - 1, NULL),
        PyUnicode_DecodeASCII(text + path_end, target_end - path_end, NULL),
        PyBytes_FromStringAndSize(text + fields.host_start, fields.host_end - fields.host_start),
        fields.length if fields.length > 0 else 0,
        not fields.close,
        PyBytes_FromStringAndSize(kept, fields.kept),
    )


def scan_response(bytes data not None, Py_ssize_t size_limit, Py_ssize_t count_limit):
    """Return what a plain response head says, or None.

    ``(size, status, reason, framing, keep_alive, idle, fields)``: ``framing`` is a length, -1 for chunked, -2
    for until the connection closes; ``idle`` the seconds of ``Keep-Alive: timeout=``, -1 for none. Plain is
    HTTP/1.1 and a final status.
    """
    cdef const char* text = PyBytes_AS_STRING(data)
    cdef Py_ssize_t end = PyBytes_GET_SIZE(data)
    cdef Py_ssize_t position = 12, reason
    cdef int status
    cdef long long framing
    cdef Fields fields
    if end > size_limit + 4:
        end = size_limit + 4
    if end > CAPACITY:
        end = CAPACITY
    if end < 16 or memcmp(text, b"HTTP/1.1 ", 9):
        return None
    status = <int> number(text + 9, 3)
    if not 200 <= status <= 599:
        return None
    reason = position
    if text[position] == 32:
        reason = position = position + 1
        while position < end and VALUE[<unsigned char> text[position]]:
            position += 1
    if position + 2 > end or text[position] != 13 or text[position + 1] != 10:
        return None
    if not scan_fields(&fields, text, position + 2, end, count_limit, False):
        return None
    framing = -2
    if fields.length >= 0:
        if fields.seen & ONCE_CODING:
            return None
        framing = fields.length
    elif fields.seen & ONCE_CODING:
        framing = -1
    return (
        fields.end,
        status,
        PyBytes_FromStringAndSize(text + reason, position - reason),
        framing,
        not fields.close,
        fields.idle,
        PyBytes_FromStringAndSize(kept, fields.kept),
    )


def split_lines(bytes raw):
    """Return the lines of a section by their lower-case names, repeated ones behind one another."""
    cdef const char* text = PyBytes_AS_STRING(raw)
    cdef const char* found
    cdef Py_ssize_t size = PyBytes_GET_SIZE(raw)
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t colon, end, index
    cdef unsigned char byte
    cdef bytes key, line
    cdef dict lines = {}
    while start < size:
        found = <const char*> memchr(text + start, 10, size - start)
        end = size if found is NULL else found - text + 1
        found = <const char*> memchr(text + start, 58, end - start)
        if found is NULL:
            raise ValueError("a line without a colon")
        colon = found - text
        if colon - start <= CAPACITY:
            for index in range(start, colon):
                byte = <unsigned char> text[index]
                kept[index - start] = byte + 32 if 65 <= byte <= 90 else byte
            key = PyBytes_FromStringAndSize(kept, colon - start)
        else:
            key = raw[start:colon].lower()
        line = PyBytes_FromStringAndSize(text + start, end - start)
        if key in lines:
            line = <bytes> lines[key] + line
        lines[key] = line
        start = end
    return lines


cdef inline bint is_named(const char* line, Py_ssize_t size, const char* name, Py_ssize_t length) noexcept:
    """Whether a line is a field's, whose name is given in lower case."""
    cdef Py_ssize_t index
    if size <= length or line[length] != 58:
        return False
    for index in range(length):
        if TOKEN[<unsigned char> line[index]] != <unsigned char> name[index]:
            return False
    return True


cdef inline Py_ssize_t line_end(const char* text, Py_ssize_t start, Py_ssize_t size) noexcept:
    """Return where the line that begins at ``start`` has its end, behind the line feed."""
    cdef const char* found = <const char*> memchr(text + start, 10, size - start)
    return size if found is NULL else found - text + 1


cdef bytes value_of(const char* line, Py_ssize_t start, Py_ssize_t end):
    """Return what stands between two places of a line, without white space around it."""
    while start < end and line[start] in (9, 10, 13, 32):
        start += 1
    while end > start and line[end - 1] in (9, 10, 13, 32):
        end -= 1
    return PyBytes_FromStringAndSize(line + start, end - start)


def find_values(bytes raw not None, bytes name not None):
    """Return the value of each field of a section that has this name, in lower case, or None for no such field."""
    cdef const char* text = PyBytes_AS_STRING(raw)
    cdef const char* wanted = PyBytes_AS_STRING(name)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(raw), length = PyBytes_GET_SIZE(name)
    cdef Py_ssize_t start = 0, end
    cdef list found = None
    while start < size:
        end = line_end(text, start, size)
        if is_named(text + start, end - start, wanted, length):
            if found is None:
                found = []
            found.append(value_of(text, start + length + 1, end))
        start = end
    return found


def find_value(bytes raw not None, bytes name not None):
    """Return the values of ``find_values`` joined by a comma, or None for no such field."""
    cdef const char* text = PyBytes_AS_STRING(raw)
    cdef const char* wanted = PyBytes_AS_STRING(name)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(raw), length = PyBytes_GET_SIZE(name)
    cdef Py_ssize_t start = 0, end
    cdef bytes found = None
    while start < size:
        end = line_end(text, start, size)
        if is_named(text + start, end - start, wanted, length):
            if found is None:
                found = value_of(text, start + length + 1, end)
            else:
                found = found + b", " + value_of(text, start + length + 1, end)
        start = end
    return found


def replace_lines(bytes raw not None, tuple names not None, bytes block not None):
    """Return a section without the fields of these names, given in lower case, and with ``block`` at its end."""
    cdef const char* text = PyBytes_AS_STRING(raw)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(raw), added = PyBytes_GET_SIZE(block), count = len(names)
    cdef Py_ssize_t start = 0, end, begun = 0, filled = 0, index
    cdef (const char*)[MOST] wanted
    cdef Py_ssize_t[MOST] lengths
    cdef bytes name
    cdef PyObject* made
    cdef char* target
    if count > MOST:
        return replace_lines(replace_lines(raw, names[MOST:], b""), names[:MOST], block)
    for index in range(count):
        name = names[index]
        wanted[index] = PyBytes_AS_STRING(name)
        lengths[index] = PyBytes_GET_SIZE(name)
    made = new_bytes(NULL, size + added)
    target = PyBytes_AS_STRING(<object> made)
    while start < size:
        end = line_end(text, start, size)
        for index in range(count):
            if is_named(text + start, end - start, wanted[index], lengths[index]):
                memcpy(target + filled, text + begun, start - begun)
                filled += start - begun
                begun = end
                break
        start = end
    memcpy(target + filled, text + begun, size - begun)
    filled += size - begun
    memcpy(target + filled, PyBytes_AS_STRING(block), added)
    if begun:
        _PyBytes_Resize(&made, filled + added)
    result = <object> made
    Py_DECREF(result)  # made is the reference that is returned
    return result
