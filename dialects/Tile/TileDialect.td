// The tile dialect itself, its types, and the closed list of layouts a tile in registers may have.
#ifndef LEAT_DIALECTS_TILE_DIALECT
#define LEAT_DIALECTS_TILE_DIALECT

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"

def Tile_Dialect : Dialect {
  let name = "tile";
  let cppNamespace = "::leat::tile";
  let summary = "one GPU kernel: tiles in global, shared and register memory, copies in flight, products, row reductions";
  let description = [{
    A `tile.program` is what one block of threads does. Tiles are two-dimensional and live in one of three memories: a `!tile.view` is a window into global memory,
    a `!tile.shared` lies in the block's shared memory, a `!tile.reg` is spread over the registers of its threads by one of a closed list of layouts. Nothing moves between
    the memories but by an op that says so, and what is asynchronous is waited for by name. `leat-cuda-lower-tile` turns programs into NVVM ops and inline PTX.

    The inner product of two 16-bit matrices, one 64x64 tile a block, three tiles in flight:

    ```mlir
    tile.program threads 128 {
      %a = tile.view %A rows %m cols %k stride %k align 16 : f16
      %b = tile.view %B rows %k cols %n stride %n align 16 : f16
      %sa = tile.alloc : !tile.shared<64x32xf16, swizzle = 64, stages = 3>
      %sb = tile.alloc : !tile.shared<32x64xf16, swizzle = 128, stages = 3>
      %zero = tile.splat %f0 : !tile.reg<64x64xf32, #tile.layout<acc, 2x2>>
      %c = tile.pipeline %i = %c0 to %k step %c32 buffers(%sa, %sb) carry(%zero) : ... produce {
      ^bb0(%i0: index, %ta: !tile.shared<64x32xf16, swizzle = 64>, %tb: !tile.shared<32x64xf16, swizzle = 128>):
        tile.copy_async %a[%row, %i0] to %ta
        tile.copy_async %b[%i0, %col] to %tb
        tile.yield
      } consume {
      ^bb0(%i0: index, %ta: ..., %tb: ..., %sum: ...):
        %next = tile.dot %ta, %tb, %sum : ...
        tile.yield %next : ...
      }
      tile.store %c, %out[%row, %col] : ...
    }
    ```
  }];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
}

class Tile_Type<string name, string mnem> : TypeDef<Tile_Dialect, name> { let mnemonic = mnem; }

def Tile_LayoutKind : I32EnumAttr<"LayoutKind", "how a tile is spread over registers", [
  I32EnumAttrCase<"Acc", 0, "acc">, I32EnumAttrCase<"A", 1, "a">, I32EnumAttrCase<"B", 2, "b">, I32EnumAttrCase<"WgmmaAcc", 3, "wgmma_acc">,
  I32EnumAttrCase<"WgmmaA", 4, "wgmma_a">, I32EnumAttrCase<"Row", 5, "row">, I32EnumAttrCase<"Vector", 6, "vector">]> {
  let cppNamespace = "::leat::tile";
  let genSpecializedAttr = 0;
}

def Tile_LayoutAttr : AttrDef<Tile_Dialect, "Layout"> {
  let mnemonic = "layout";
  let summary = "one of the layouts that instructions ask for";
  let description = [{
    `warps_m` x `warps_n` warps stand row major over the tile; each holds the whole fragments of its part. With lane l and fragments counted row major:

      - `acc`: accumulator of mma.sync m16n8: register r of a fragment holds row l/4 + 8*(r/2), column 2*(l%4) + r%2;
      - `a`: left operand, 16x16 fragments of 16-bit elements, two a register: register r holds row l/4 + 8*(r%2), columns 8*(r/2) + 2*(l%4) and the next. Of bytes there are four in
        the place of two: 16x32 fragments, columns 16*(r/2) + 4*(l%4) and the next three;
      - `b`: right operand as [columns, depth], 8x16 fragments (of bytes 8x32): register r holds column l/4, depth 8*r + 2*(l%4) and the next;
      - `wgmma_acc`, `wgmma_a`: the same fragments where four warps are a group of 64 rows;
      - `row`: one element per row of an `acc` tile with these warps, held by the four lanes that hold the row; the tile is R x 1;
      - `vector`: thread t of T holds elements t*V..t*V+V-1 of each run of T*V elements of the row-major tile (V = 16 bytes of elements, at most a row).
  }];
  let parameters = (ins EnumParameter<Tile_LayoutKind>:$kind, "int64_t":$warpsM, "int64_t":$warpsN);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

def Tile_ViewType : Tile_Type<"View", "view"> {
  let summary = "a window into a row-major matrix in global memory, with its bounds";
  let parameters = (ins "::mlir::Type":$element);
  let assemblyFormat = "`<` $element `>`";
}

def Tile_SharedType : Tile_Type<"Shared", "shared"> {
  let summary = "a tile in shared memory";
  let description = [{
    With `swizzle` W (32, 64 or 128 bytes) the tile is cut into slabs of W bytes of each row; a slab is rows x W bytes, and chunk c of 16 bytes of row r is stored as chunk
    c xor f(r): f = r mod 8 for 128, r/2 mod 4 for 64, r/4 mod 2 for 32. That is what TMA writes and wgmma reads; eight rows of a chunk lie in different banks.
    Without, rows follow each other with `pad` bytes behind each. `stages` > 1: as many tiles behind each other, picked by `tile.slot`. Elements of type i8 are signed, those of
    type ui8 are not, which only copies and products can handle.
  }];
  let parameters = (ins "int64_t":$rows, "int64_t":$cols, "::mlir::Type":$element, "int64_t":$swizzle, "int64_t":$pad, "int64_t":$stages);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    int64_t getElementBytes() const { return getElement().getIntOrFloatBitWidth() / 8; }
    /// Bytes from one row of the tile (of a slab, with a swizzle) to the next.
    int64_t getRowBytes() const { return getSwizzle() ? getSwizzle() : getCols() * getElementBytes() + getPad(); }
    /// Bytes of one stage; stages follow each other.
    int64_t getStageBytes() const;
    int64_t getBytes() const { return getStageBytes() * getStages(); }
    /// What the tile's first byte is aligned to: a swizzle follows the address.
    int64_t getAlignment() const { return getSwizzle() ? 1024 : 128; }
    SharedType oneStage() const { return get(getContext(), getRows(), getCols(), getElement(), getSwizzle(), getPad(), 1); }
  }];
}

def Tile_RegType : Tile_Type<"Reg", "reg"> {
  let summary = "a tile in the registers of the block's threads";
  let parameters = (ins "int64_t":$rows, "int64_t":$cols, "::mlir::Type":$element, "::leat::tile::LayoutAttr":$layout);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    LayoutKind getKind() const { return getLayout().getKind(); }
    int64_t getWarps() const { return getLayout().getWarpsM() * getLayout().getWarpsN(); }
    /// Rows and columns that one warp holds.
    int64_t getWarpRows() const { return getRows() / getLayout().getWarpsM(); }
    int64_t getWarpCols() const { return getKind() == LayoutKind::Row ? 1 : getCols() / getLayout().getWarpsN(); }
    /// Columns of a fragment of an operand: 32 bytes of the depth.
    int64_t getFragmentCols() const { return 32 * 8 / getElement().getIntOrFloatBitWidth(); }
    /// Elements that share a register: those of operands of products.
    int64_t getPerRegister() const {
      bool packed = getKind() == LayoutKind::A || getKind() == LayoutKind::B || getKind() == LayoutKind::WgmmaA;
      return packed ? 32 / getElement().getIntOrFloatBitWidth() : 1;
    }
    /// Elements that one thread holds.
    int64_t getThreadElements() const;
    RegType withElement(::mlir::Type element) const { return get(getContext(), getRows(), getCols(), element, getLayout()); }
  }];
}

def Tile_TokenType : Tile_Type<"Token", "token"> { let summary = "a group of copies in flight"; }

def Tile_MBarriersType : Tile_Type<"MBarriers", "mbarriers"> {
  let summary = "barriers in shared memory that count arrivals and bytes, one for each stage of a ring";
  let description = [{
    A barrier is in a phase, 0 at first; the phase ends when as many arrivals as it was made for, and all bytes that were announced, are there. Then the next one begins. Who
    waits names the parity of the phase whose end it waits for: with parity 1 the first wait passes at once, since that is taken for the phase before the first.
  }];
  let parameters = (ins "int64_t":$count);
  let assemblyFormat = "`<` $count `>`";
  let genVerifyDecl = 1;
}

class Tile_Op<string mnemonic, list<Trait> traits = []> : Op<Tile_Dialect, mnemonic, traits>;

#endif
