// Element types, numbered as ONNX TensorProto.DataType numbers them: that is what artifacts and the C API use.
#ifndef LEAT_RUNTIME_CORE_DTYPE_H
#define LEAT_RUNTIME_CORE_DTYPE_H

#include <cstdint>
#include <cstring>

namespace leat::rt {

enum class DType : int32_t {
  Undefined = 0,
  F32 = 1,
  U8 = 2,
  I8 = 3,
  U16 = 4,
  I16 = 5,
  I32 = 6,
  I64 = 7,
  String = 8,
  Bool = 9,
  F16 = 10,
  F64 = 11,
  U32 = 12,
  U64 = 13,
  C64 = 14,
  C128 = 15,
  BF16 = 16,
  F8E4M3FN = 17,
  F8E4M3FNUZ = 18,
  F8E5M2 = 19,
  F8E5M2FNUZ = 20,
  U4 = 21,
  I4 = 22,
  F4E2M1 = 23,
  F8E8M0 = 24,
  U2 = 25,
  I2 = 26,
};

// Bytes of one element in a buffer; types below a byte are unpacked to one byte. 0: not a type that a buffer can hold.
int64_t dtypeSize(DType type);
// "f32", "i64", ... (the names of MLIR where it has one); "dtype 99" for a number that is none.
const char *dtypeName(DType type);
// The reverse of dtypeName; Undefined when there is no such type. Also takes ONNX/NumPy spellings ("float32", "int64", "bool").
DType dtypeFromName(const char *name, size_t size);
inline bool isFloat(DType type) {
  return type == DType::F32 || type == DType::F16 || type == DType::F64 || type == DType::BF16 ||
         (type >= DType::F8E4M3FN && type <= DType::F8E5M2FNUZ);
}

float halfToFloat(uint16_t bits);
uint16_t floatToHalf(float value); // to nearest, ties to even
inline float bfloatToFloat(uint16_t bits) {
  uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, 4);
  return value;
}
uint16_t floatToBfloat(float value); // to nearest, ties to even
// Widens `count` elements of a floating point type; false when the type is none that this can read.
bool toFloats(DType type, const void *data, int64_t count, float *out);

} // namespace leat::rt

#endif
