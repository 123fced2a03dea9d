// Scalar semantics, compiled for the device by nvcc and for the host by the test: every output has to be equal, bit for bit. a to d are any
// four words; each value below is one output.
#ifndef SCALAR_H
#define SCALAR_H
#ifndef __SCALAR_FREESTANDING__
#include <math.h>
#include <stdint.h>
#include <string.h>
#endif

#ifdef __CUDACC__
#define BOTH __device__ static
#else
#define BOTH static
#endif
#define SCALAR_OUTPUTS 112

BOTH float asFloat(uint32_t u) {
  float f;
  memcpy(&f, &u, 4);
  return f;
}
BOTH uint32_t bitsOf(float f) { // one NaN
  uint32_t u;
  memcpy(&u, &f, 4);
  return f != f ? 0x7fffffffu : u;
}
BOTH uint64_t bitsOfDouble(double d) {
  uint64_t u;
  memcpy(&u, &d, 8);
  return d != d ? 0x7fffffffffffffffull : u;
}

BOTH void scalarOutputs(uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint64_t *out) {
  int n = 0;
#define OUT(...) out[n++] = (uint64_t)(__VA_ARGS__)
  int32_t sa = (int32_t)a, sb = (int32_t)b, sc = (int32_t)c;
  uint64_t wa = (uint64_t)a << 32 | b, wb = (uint64_t)c << 32 | d;
  int64_t swa = (int64_t)wa, swb = (int64_t)wb;
  uint32_t divisor = b ? b : 1;
  int32_t signedDivisor = sb == 0 || sb == -1 ? 7 : sb;
  uint64_t wideDivisor = wb ? wb : 3;
  int64_t signedWideDivisor = swb == 0 || swb == -1 ? 5 : swb;

  // Integers: sums, products, quotients.
  OUT(a + b);
  OUT(a - b);
  OUT(a * b);
  OUT((uint32_t)(sa * (int64_t)sb >> 32));
  OUT((uint32_t)((uint64_t)a * b >> 32));
  OUT((uint64_t)a * b);
  OUT((int64_t)sa * sb);
  OUT((uint64_t)a * b + wb);
  OUT((uint64_t)((int64_t)sa * sc) + wb);
  OUT(a / divisor);
  OUT(a % divisor);
  OUT((uint32_t)(sa / signedDivisor));
  OUT((uint32_t)(sa % signedDivisor));
  OUT(a / 7);
  OUT((uint32_t)(sa / -11));
  OUT(wa + wb);
  OUT(wa - wb);
  OUT(wa * wb);
  OUT(wa / wideDivisor);
  OUT(wa % wideDivisor);
  OUT(swa / signedWideDivisor);
  OUT(swa % signedWideDivisor);
  OUT((unsigned __int128)wa * wb >> 64);
  OUT((((unsigned __int128)wa << 64 | wb) + ((unsigned __int128)wb << 64 | wa)) >> 64);

  // Shifts, logic, bit fields, selection.
  OUT(a << (b & 31));
  OUT(a >> (b & 31));
  OUT((uint32_t)(sa >> (b & 31)));
  OUT(wa << (c & 63));
  OUT(wa >> (c & 63));
  OUT(swa >> (c & 63));
  OUT((a & b) | (~c & d));
  OUT((a ^ b) & (c | d));
  OUT(sa < sb ? a : c);
  OUT(a < b ? c : d);
  OUT(swa < swb ? wa : wb);
  OUT((uint32_t)(sa > sb ? sa : sb));
  OUT(a < b ? a : b);
  OUT(swa > swb ? swa : swb);
  OUT((uint32_t)(sa < 0 ? 0u - a : a));
  OUT((uint32_t)(uint8_t)a * (uint8_t)b);
  OUT((uint32_t)(int32_t)((int8_t)a * (int8_t)b));
  OUT((uint32_t)(int32_t)(int16_t)(a + c));
  OUT((uint16_t)(a * c));
  OUT((uint32_t)(int32_t)(int8_t)(a >> 3));
  OUT((a >> 5 & 0x7f) | (b & ~0x7fu));
  OUT((uint32_t)((int32_t)(a << 11) >> 20));
  OUT((a << 7) | (a >> 25));
  OUT((a & 0xff) << 24 | (a >> 24) | (a >> 8 & 0xff00) | (a << 8 & 0xff0000));

  // Single precision. The last operand is any pattern of bits.
  float fa = (float)(sa >> 8) * 0.0001f, fb = (float)(sb >> 9) * 0.00003f, any = asFloat(d);
  float fc = asFloat((c & 0x807fffff) | ((100 + (c >> 24 & 63)) << 23));
  OUT(bitsOf(fa + fb));
  OUT(bitsOf(fa - fb));
  OUT(bitsOf(fa * fb));
  OUT(bitsOf(fa / fb));
  OUT(bitsOf(fmaf(fa, fb, fc)));
  OUT(bitsOf(sqrtf(fa < 0 ? -fa : fa)));
  OUT(bitsOf(any + fa));
  OUT(bitsOf(any * fc));
  OUT(fa < fb);
  OUT(any <= fa);
  OUT(any != any);
  OUT(any == any);
  OUT(!(any > fb));
  OUT(any != fa);
  OUT(bitsOf(fa < fb ? fa : fb));
  OUT(bitsOf(fabsf(any)));
  OUT(bitsOf(-any));
  OUT(bitsOf(copysignf(fa, any)));
  OUT((int64_t)(int32_t)fa);
  OUT((uint32_t)(fa < 0 ? -fa : fa));
  OUT(bitsOf((float)a));
  OUT(bitsOf((float)sa));
  OUT(bitsOf((float)wa));
  OUT(bitsOf((float)swa));
  OUT((int64_t)(fb * 1000.f));
  OUT(bitsOf(floorf(fb)));
  OUT(bitsOf(ceilf(fb)));
  OUT(bitsOf(truncf(fb)));
  OUT(bitsOf(rintf(fb)));

  // Double precision.
  double da = (double)swa * 1e-9, db = (double)sb * 1e-3;
  OUT(bitsOfDouble(da + db));
  OUT(bitsOfDouble(da - db));
  OUT(bitsOfDouble(da * db));
  OUT(bitsOfDouble(da / (db == 0 ? 1 : db)));
  OUT(bitsOfDouble(fma(da, db, (double)fa)));
  OUT(bitsOf((float)da));
  OUT(bitsOfDouble((double)fa));
  OUT((int64_t)db);
  OUT(bitsOfDouble((double)wa));
  OUT(bitsOfDouble(sqrt(da < 0 ? -da : da)));
  OUT(bitsOfDouble(floor(db)));
  OUT(da < db);

  // Control flow: a divergent loop, a local array with computed indices, a switch, nested loops.
  uint32_t x = a | 1, steps = 0;
  while (x != 1 && steps < 200) {
    x = (x & 1) ? 3 * x + 1 : x >> 1;
    steps++;
  }
  OUT((uint64_t)x << 32 | steps);
  uint32_t array[16], hash = 0;
  for (int i = 0; i < 16; i++)
    array[i] = a * i ^ b;
  for (int i = 0; i < 40; i++) {
    uint32_t j = (array[i & 15] >> (i & 7)) & 15, t = array[j];
    array[j] = array[(i * 7 + c) & 15] + t;
    array[i & 15] ^= t >> 3;
  }
  for (int i = 0; i < 16; i++)
    hash = hash * 31 + array[i];
  OUT(hash);
  uint32_t r = 0;
  for (int i = 0; i < 12; i++) {
    switch ((a >> (i * 2)) & 7) {
    case 0:
      r += 3;
      break;
    case 1:
      r ^= b;
      break;
    case 2:
      r = r * 5 + 1;
      break;
    case 3:
      if (r & 1) {
        r += d;
        continue;
      }
      r -= c;
      break;
    case 4:
      r = (r << 3) | (r >> 29);
      break;
    case 5:
      for (uint32_t q = 0; q < (b >> i & 3); q++)
        r += q * d;
      break;
    case 6:
      r = ~r;
      break;
    default:
      r += i;
    }
    r ^= i;
  }
  OUT(r);
  uint32_t bits = 0;
  for (uint32_t v = a; v; v &= v - 1)
    bits++;
  OUT(bits);
  uint32_t g1 = a % 1000, g2 = b % 1000 + 1;
  while (g1) {
    uint32_t t = g2 % g1;
    g2 = g1;
    g1 = t;
  }
  OUT(g2);
  while (n < SCALAR_OUTPUTS)
    out[n++] = 0;
#undef OUT
}
#endif
