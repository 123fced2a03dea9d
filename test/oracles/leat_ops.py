"""What every computational leat op means, in NumPy and float64. Written from the ops' descriptions, without any of the compiler's code."""
import numpy as np

INF = np.inf


def f64(x):
    return np.asarray(x).astype(np.float64)


# Products.

def matmul(lhs, rhs, trans_a=False, trans_b=False):
    if lhs.dtype.kind in "iu":  # exact; 8-bit integers add up in 32 bits
        lhs, rhs = lhs.astype(np.int32 if lhs.itemsize == 1 else lhs.dtype), rhs.astype(np.int32 if lhs.itemsize == 1 else rhs.dtype)
    else:
        lhs, rhs = f64(lhs), f64(rhs)
    if trans_a:
        lhs = np.swapaxes(lhs, -1, -2)
    if trans_b:
        rhs = np.swapaxes(rhs, -1, -2)
    return np.matmul(lhs, rhs)


def unpack(packed, bits, count):
    """[..., bytes] -> [..., count] unsigned codes, low bits first."""
    per_byte = 8 // bits
    codes = packed.view(np.uint8)[..., :, None] >> (np.arange(per_byte) * bits)
    return (codes & ((1 << bits) - 1)).reshape(*packed.shape[:-1], -1)[..., :count].astype(np.float64)


def dequantise(codes, scales, zeros, k, bits, block):
    """The weights [N, K] behind matmul_nbits."""
    n, blocks = codes.shape[:2]
    code = unpack(codes, bits, block)
    if zeros is None:
        zero = np.full((n, blocks), 2.0 ** (bits - 1))
    elif zeros.dtype == np.int8:
        zero = unpack(zeros.reshape(n, -1), bits, blocks)
    else:
        zero = f64(zeros).reshape(n, blocks)
    return ((code - zero[..., None]) * f64(scales).reshape(n, blocks, 1)).reshape(n, -1)[:, :k]


def matmul_nbits(lhs, codes, scales, zeros=None, *, k, bits, block):
    return f64(lhs) @ dequantise(codes, scales, zeros, k, bits, block).T


def conv(x, w, bias=None, *, strides, dilations, pads, group):
    r = x.ndim - 2
    exact = x.dtype.kind in "iu"
    x, w = (x.astype(np.int64), w.astype(np.int64)) if exact else (f64(x), f64(w))
    x = np.pad(x, [(0, 0), (0, 0)] + [(pads[i], pads[r + i]) for i in range(r)])
    out = [max((x.shape[2 + i] - dilations[i] * (w.shape[2 + i] - 1) - 1) // strides[i] + 1, 0) for i in range(r)]
    m, per_group, channels = w.shape[0], w.shape[0] // group, w.shape[1]
    y = np.zeros((x.shape[0], m, *out), x.dtype)
    for place in np.ndindex(*out):
        window = x[(slice(None), slice(None)) + tuple(
            slice(p * s, p * s + d * (n - 1) + 1, d) for p, s, d, n in zip(place, strides, dilations, w.shape[2:]))]
        for g in range(group):
            rows = slice(g * per_group, (g + 1) * per_group)
            part = window[:, g * channels:(g + 1) * channels]
            y[(slice(None), rows) + place] = np.tensordot(part, w[rows], axes=(range(1, r + 2), range(1, r + 2)))
    if bias is not None:
        y += bias.astype(y.dtype).reshape(-1, *[1] * r)
    return y


# Normalisations.

def softmax(x, axis, log=False, zero_empty_rows=False):
    x = f64(x)
    if x.shape[axis] == 0:
        return x
    with np.errstate(invalid="ignore", divide="ignore"):
        top = x.max(axis, keepdims=True)
        if zero_empty_rows:
            top = np.where(top == -INF, 0, top)
        e = np.exp(x - top)
        total = e.sum(axis, keepdims=True)
        if zero_empty_rows:
            total = np.where(total == 0, 1, total)
        return x - top - np.log(total) if log else e / total


def layer_norm(x, scale=None, bias=None, *, axis, epsilon, rms=False):
    x = f64(x)
    if x.size == 0:
        return x
    axes = tuple(range(axis, x.ndim))
    centered = x if rms else x - x.mean(axes, keepdims=True)
    y = centered / np.sqrt((centered**2).mean(axes, keepdims=True) + epsilon)
    if scale is not None:
        y = y * f64(scale)
    if bias is not None:
        y = y + f64(bias)
    return y


# Attention.

def rotary(x, cos, sin, *, rotary_dim, interleaved=False):
    x, cos, sin = f64(x), f64(cos)[:, None], f64(sin)[:, None]  # heads
    head, tail = x[..., :rotary_dim], x[..., rotary_dim:]
    if interleaved:
        x1, x2 = head[..., 0::2], head[..., 1::2]
    else:
        x1, x2 = head[..., :rotary_dim // 2], head[..., rotary_dim // 2:]
    y1, y2 = x1 * cos - x2 * sin, x2 * cos + x1 * sin
    y = np.stack([y1, y2], -1).reshape(head.shape) if interleaved else np.concatenate([y1, y2], -1)
    return np.concatenate([y, tail], -1)


def kv_attend(q, k, v, q_pos=None, k_pos=None, bias=None, kv_len=None, sink_bias=None, *, scale, causal=False, window_left=-1, window_right=-1,
              softcap=0.0, mask=None, q_layout="bhsd", kv_layout="bhsd", o_layout="bhsd"):
    """q, k, v, k_pos, bias are lists with one entry a segment. `mask` is a function of arrays (batch, head, query position, key position). Returns (output, lse)."""
    order = lambda x, layout: f64(x) if layout == "bhsd" else f64(x).swapaxes(1, 2)
    q, k, v = [order(x, q_layout) for x in q], [order(x, kv_layout) for x in k], [order(x, kv_layout) for x in v]
    batch, heads, queries, _ = q[0].shape
    group = heads // max(k[0].shape[1], 1)
    logits, values = [], []
    for a in range(len(k)):
        keys = k[a].shape[2]
        repeated = np.repeat(k[a], group, axis=1)
        x = scale * np.einsum("bhsd,bhtd->bhst", q[a], repeated)
        if softcap > 0:
            x = softcap * np.tanh(x / softcap)
        if bias is not None:
            x = x + f64(bias[a])
        visible = np.ones((batch, 1, queries, keys), bool)
        kpos = np.arange(keys) if k_pos is None else np.asarray(k_pos[a])
        if k_pos is not None:
            visible &= kpos >= 0
        if kv_len is not None:
            visible &= np.arange(keys) < np.asarray(kv_len).reshape(-1, 1, 1, 1)
        if q_pos is not None:
            qpos = np.broadcast_to(np.asarray(q_pos), (batch, queries))
        elif kv_len is not None:
            qpos = np.arange(queries) + np.asarray(kv_len).reshape(-1, 1) - queries
        else:
            qpos = np.broadcast_to(np.arange(queries) + k[0].shape[2] - queries, (batch, queries))
        behind = qpos[:, None, :, None] - kpos  # how far the key lies before the query
        if causal:
            visible &= behind >= 0
        if window_left >= 0:
            visible &= behind <= window_left
        if window_right >= 0:
            visible &= -behind <= window_right
        if mask is not None:
            visible = visible & mask(np.arange(batch)[:, None, None, None], np.arange(heads)[:, None, None], qpos[:, None, :, None], kpos)
        logits.append(np.where(visible, x, -INF))
        values.append(np.repeat(v[a], group, axis=1))
    x, value = np.concatenate(logits, -1), np.concatenate(values, 2)
    if sink_bias is not None:
        extra = np.broadcast_to(f64(sink_bias)[:, None, None], (batch, heads, queries, 1))
        x = np.concatenate([x, extra], -1)
        value = np.concatenate([value, np.zeros((batch, heads, 1, value.shape[-1]))], 2)
    lse = logsumexp(x, -1)
    with np.errstate(invalid="ignore"):
        weights = np.where(x == -INF, 0, np.exp(x - lse[..., None]))
    output = np.einsum("bhst,bhtd->bhsd", weights, value)
    return output if o_layout == "bhsd" else output.swapaxes(1, 2), lse


def logsumexp(x, axis):
    if x.shape[axis] == 0:
        return np.full(np.delete(x.shape, axis), -INF)
    top = x.max(axis, keepdims=True)
    top = np.where(top == -INF, 0, top)
    with np.errstate(divide="ignore"):
        return (top + np.log(np.exp(x - top).sum(axis, keepdims=True))).squeeze(axis)


def attn_merge(values, lses):
    lses = np.stack([f64(x) for x in lses])
    lse = logsumexp(lses, 0)
    output = np.zeros(values[0].shape)
    for value, part in zip(values, lses):
        with np.errstate(invalid="ignore"):
            weight = np.where(part == -INF, 0, np.exp(part - lse))[..., None]
        output += np.where(weight == 0, 0, weight * f64(value))
    return output, lse


# Scatters, in the order of the updates.

COMBINE = {"none": lambda old, new: new, "add": lambda old, new: old + new, "mul": lambda old, new: old * new, "max": np.maximum, "min": np.minimum}


def scatter_elements(data, indices, updates, *, axis, reduction="none"):
    y = data.copy()
    for at in np.ndindex(*indices.shape):
        where = list(at)
        where[axis] = indices[at]  # negative ones count from the end, as NumPy does
        y[tuple(where)] = COMBINE[reduction](y[tuple(where)], updates[at])
    return y


def scatter_nd(data, indices, updates, *, reduction="none"):
    y = data.copy()
    for at in np.ndindex(*indices.shape[:-1]):
        where = tuple(indices[at])
        y[where] = COMBINE[reduction](y[where], updates[at])
    return y


# Order.

def topk(x, k, *, axis, largest=True):
    """NaN is the largest; ties go to the lower index."""
    x = np.moveaxis(x, axis, -1)
    values, indices = np.empty((*x.shape[:-1], k), x.dtype), np.empty((*x.shape[:-1], k), np.int64)
    for row in np.ndindex(*x.shape[:-1]):
        key = lambda i: (np.isnan(x[row][i]), 0 if np.isnan(x[row][i]) else x[row][i]) if x.dtype.kind != "i" else (False, int(x[row][i]))
        order = sorted(range(x.shape[-1]), key=key, reverse=largest)  # stable, also in reverse
        indices[row] = order[:k]
        values[row] = x[row][indices[row]]
    return np.moveaxis(values, -1, axis), np.moveaxis(indices, -1, axis)


def cumsum(x, *, axis, exclusive=False, reverse=False):
    wide = x if x.dtype.kind == "i" else f64(x)
    if reverse:
        wide = np.flip(wide, axis)
    y = np.cumsum(wide, axis, dtype=wide.dtype)
    if exclusive:
        y = np.concatenate([np.zeros_like(np.take(y, [0], axis)), np.delete(y, -1, axis)], axis) if x.shape[axis] else y
    return np.flip(y, axis) if reverse else y


def arg_reduce(x, *, axis, max=True, select_last=False):
    find = np.argmax if max else np.argmin
    if select_last:
        return x.shape[axis] - 1 - find(np.flip(x, axis), axis, keepdims=True)
    return find(x, axis, keepdims=True)


def nonzero(x):
    """Coordinates [rank, count] in row-major order."""
    return np.argwhere(x).T.reshape(x.ndim, -1) if x.ndim else np.zeros((0, int(bool(x))), np.int64)


# Caches.

def cache_append(content, update, seen, *, axis, layout="bhsd", sink=0, ring=0):
    """The content with the update's entries in their places, one after the other."""
    content, update = content.copy(), update if layout == "bhsd" else update.swapaxes(1, 2)
    entries, places = np.moveaxis(update, axis, 0), np.moveaxis(content, axis, 0)  # views
    for token, entry in enumerate(entries, start=seen):
        places[token if not ring or token < sink else sink + (token - sink) % ring] = entry
    return content


def cache_view(content, offset, length, *, axis):
    return np.take(content, range(offset, offset + length), axis)


def page_place(table, row, entry, page):
    """Where an entry of a row is in a pool: the page's number, and the place in it."""
    return int(table[row, entry // page]), entry % page


def paged_append(pool, table, update, seen, *, page, layout="bhsd", sink=0, ring=0):
    pool, update = pool.copy(), update if layout == "bhsd" else update.swapaxes(1, 2)
    for row in range(update.shape[0]):
        for token in range(update.shape[2]):
            t = seen + token
            number, at = page_place(table, row, t if not ring or t < sink else sink + (t - sink) % ring, page)
            pool[number, :, at] = update[row, :, token]
    return pool


def paged_view(pool, table, offset, length, *, page):
    rows = [[pool[number, :, at] for number, at in (page_place(table, row, entry, page) for entry in range(offset, offset + length))] for row in range(len(table))]
    return np.array(rows, pool.dtype).reshape(len(table), length, pool.shape[1], pool.shape[3]).swapaxes(1, 2)


# Sampling.

def philox(counter, key):
    """Philox4x32-10 (Salmon et al., SC 2011)."""
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def uniform(seed, row, step):
    low, high = (lambda v: v & 0xFFFFFFFF), (lambda v: v >> 32)
    words = philox([low(row), high(row), low(step), high(step)], [low(seed), high(seed)])
    return ((words[0] << 32 | words[1]) >> 11) * 2.0**-53


def sample(logits, history=None, *, step, seed, temperature, top_k=0, top_p=1.0, min_p=0.0, repetition_penalty=1.0):
    tokens = []
    for row, x in enumerate(logits.astype(np.float32)):
        if history is not None and repetition_penalty != 1:
            penalty, original = np.float32(repetition_penalty), x.copy()
            for token in history[row]:
                if 0 <= token < x.size:
                    x[token] = original[token] / penalty if original[token] > 0 else original[token] * penalty
        best = int(np.argmax(x))
        if temperature == 0 or np.isinf(x[best]):
            tokens.append(best)
            continue
        weights = np.exp((f64(x) - float(x[best])) / temperature)
        order = sorted(np.flatnonzero(weights > 0), key=lambda i: (-weights[i], i))
        if top_k > 0:
            order = order[:top_k]
        if top_p < 1:
            total, mass, kept = weights[order].sum(), 0.0, []
            for i in order:
                if mass >= top_p * total:
                    break
                kept.append(i)
                mass += weights[i]
            order = kept
        kept = sorted(i for i in order if weights[i] >= min_p)
        running = np.cumsum(weights[kept])
        place = np.searchsorted(running, uniform(seed, row, step) * running[-1], side="right")
        tokens.append(int(kept[min(place, len(kept) - 1)]))
    return np.array(tokens, np.int64)
