"""ML-KEM-1024 (FIPS 203): that of `cryptography` where it has one, else in plain Python.

The plain one is slow and leaks its secrets through time: it serves tests only.
"""

import hashlib
import hmac
import os

from remo_wire import Refusal

try:
    from cryptography.hazmat.primitives.asymmetric import mlkem as _library
    _library.MLKEM1024PrivateKey.from_seed_bytes(bytes(64))
except Exception:  # not there, or not in the OpenSSL below it
    _library = None

PUBLIC_SIZE = 1568
CIPHERTEXT_SIZE = 1568
Q, N, K, DU, DV = 3329, 256, 4, 11, 5
ETA = 2


def _reversed7(i):
    return int("{:07b}".format(i)[::-1], 2)


ZETAS = [pow(17, _reversed7(i), Q) for i in range(128)]
GAMMAS = [pow(17, 2 * _reversed7(i) + 1, Q) for i in range(128)]


class PrivateKey:
    """A decapsulation key made from its 64 bytes of seed, d and z."""

    def __init__(self, seed, plain=_library is None):
        self._seed, self._library = seed, None
        if plain:
            self.public, self._s = _key_pair(seed[:32])
        else:
            self._library = _library.MLKEM1024PrivateKey.from_seed_bytes(seed)
            self.public = self._library.public_key().public_bytes_raw()

    def decapsulate(self, ct):
        if len(ct) != CIPHERTEXT_SIZE:
            raise Refusal("a ciphertext of %d bytes" % len(ct))
        return self._library.decapsulate(ct) if self._library else self._plain(ct)

    def _plain(self, ct):
        message = _decrypt(self._s, ct)
        both = _sha3_512(message + _sha3_256(self.public))
        good = hmac.compare_digest(_encrypt(self.public, message, both[32:]), ct)
        return both[:32] if good else hashlib.shake_256(self._seed[32:] + ct).digest(32)


def check_public(ek):
    """FIPS 203, 7.2: the length, and every coefficient below q."""
    if len(ek) != PUBLIC_SIZE:
        raise Refusal("an encapsulation key of %d bytes" % len(ek))
    if any(_pack([_unpack(part, 12)], 12) != part for part in _polynomials(ek[:-32], 12)):
        raise Refusal("a coefficient of q or more")


def encapsulate(ek, message=None):
    """Ciphertext and secret; a malformed key is refused."""
    check_public(ek)
    message = message or os.urandom(32)
    both = _sha3_512(message + _sha3_256(ek))
    return _encrypt(ek, message, both[32:]), both[:32]


# --- K-PKE -------------------------------------------------------------------------------------


def _key_pair(d):
    both = _sha3_512(d + bytes([K]))
    rho, sigma = both[:32], both[32:]
    s = [_ntt(_noise(sigma, at)) for at in range(K)]
    e = [_ntt(_noise(sigma, at + K)) for at in range(K)]
    t = [_add(_row(rho, i, s, False), e[i]) for i in range(K)]
    return _pack(t, 12) + rho, s


def _encrypt(ek, message, coins):
    t, rho = [_unpack(part, 12) for part in _polynomials(ek[:-32], 12)], ek[-32:]
    y = [_ntt(_noise(coins, at)) for at in range(K)]
    u = [_add(_inverse(_row(rho, i, y, True)), _noise(coins, K + i)) for i in range(K)]
    mu = [(bit and 1665) for bit in _bits(message)]
    v = _add(_add(_inverse(_dot(t, y)), _noise(coins, 2 * K)), mu)
    return _pack([_compress(one, DU) for one in u], DU) + _pack([_compress(v, DV)], DV)


def _decrypt(s, ct):
    edge = 32 * DU * K
    u = [_ntt(_expand(_unpack(part, DU), DU)) for part in _polynomials(ct[:edge], DU)]
    v = _expand(_unpack(ct[edge:], DV), DV)
    w = [(a - b) % Q for a, b in zip(v, _inverse(_dot(s, u)))]
    return _pack([_compress(w, 1)], 1)


def _row(rho, i, vector, transposed):
    return _dot([_uniform(rho, *((i, j) if transposed else (j, i))) for j in range(K)], vector)


def _dot(a, b):
    total = [0] * N
    for left, right in zip(a, b):
        total = _add(total, _multiply(left, right))
    return total


# --- polynomials -------------------------------------------------------------------------------


def _add(a, b):
    return [(x + y) % Q for x, y in zip(a, b)]


def _ntt(f):
    f, at, span = list(f), 1, 128
    while span >= 2:
        for start in range(0, N, 2 * span):
            zeta, at = ZETAS[at], at + 1
            for j in range(start, start + span):
                t = zeta * f[j + span] % Q
                f[j + span], f[j] = (f[j] - t) % Q, (f[j] + t) % Q
        span //= 2
    return f


def _inverse(f):
    f, at, span = list(f), 127, 2
    while span <= 128:
        for start in range(0, N, 2 * span):
            zeta, at = ZETAS[at], at - 1
            for j in range(start, start + span):
                t = f[j]
                f[j], f[j + span] = (t + f[j + span]) % Q, zeta * (f[j + span] - t) % Q
        span *= 2
    return [x * 3303 % Q for x in f]


def _multiply(f, g):
    h = [0] * N
    for i in range(128):
        a0, a1, b0, b1 = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
        h[2 * i] = (a0 * b0 + a1 * b1 * GAMMAS[i]) % Q
        h[2 * i + 1] = (a0 * b1 + a1 * b0) % Q
    return h


def _uniform(rho, j, i):
    stream, found, at = hashlib.shake_128(rho + bytes([j, i])).digest(3 * 1024), [], 0
    while len(found) < N:
        c0, c1, c2 = stream[at:at + 3]
        at += 3
        found += [d for d in (c0 + 256 * (c1 % 16), c1 // 16 + 16 * c2) if d < Q]
    return found[:N]


def _noise(sigma, counter):
    bits = _bits(hashlib.shake_256(sigma + bytes([counter])).digest(64 * ETA))
    return [(bits[4 * i] + bits[4 * i + 1] - bits[4 * i + 2] - bits[4 * i + 3]) % Q for i in range(N)]


def _compress(f, d):
    return [((x << d) + Q // 2) // Q % (1 << d) for x in f]


def _expand(f, d):
    return [(x * Q + (1 << d - 1)) >> d for x in f]


# --- bytes -------------------------------------------------------------------------------------


def _bits(data):
    return [byte >> at & 1 for byte in data for at in range(8)]


def _polynomials(data, d):
    return [data[at:at + 32 * d] for at in range(0, len(data), 32 * d)]


def _pack(polynomials, d):
    data = b""
    for f in polynomials:
        data += sum(x << d * at for at, x in enumerate(f)).to_bytes(32 * d, "little")
    return data


def _unpack(data, d):
    """Coefficients; of twelve bits they are taken modulo q."""
    whole, mask = int.from_bytes(data, "little"), (1 << d) - 1
    found = [whole >> d * at & mask for at in range(N)]
    return [x % Q for x in found] if d == 12 else found


def _sha3_512(data):
    return hashlib.sha3_512(data).digest()


def _sha3_256(data):
    return hashlib.sha3_256(data).digest()
