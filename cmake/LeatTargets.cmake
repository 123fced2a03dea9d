# The kinds of targets in this project:
#   leat_compiler_library(NAME sources... LINK libs...)   includes MLIR, shares the one precompiled header
#   leat_compiler_tool(NAME sources... LINK libs...)      the same for an executable
#   leat_runtime_library(NAME sources... LINK libs...)    never includes LLVM or MLIR
separate_arguments(LEAT_LLVM_DEFS NATIVE_COMMAND "${LLVM_DEFINITIONS}")

add_link_options(-fuse-ld=lld)
if(LEAT_SANITIZE)
  # vptr needs RTTI everywhere; function looks for a marker in front of the callee, and generated code has none.
  add_compile_options(-fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize=vptr,function)
  add_link_options(-fsanitize=address,undefined)
endif()

if(LEAT_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# Everything that includes MLIR links this, and nothing else of LLVM or MLIR: a static library beside
# the dylibs would carry a second copy of the TypeIDs.
add_library(leat_mlir INTERFACE)
target_compile_definitions(leat_mlir INTERFACE ${LEAT_LLVM_DEFS})
# -fPIC by hand, not through POSITION_INDEPENDENT_CODE: that gives libraries -fPIC and tools -fPIE, and
# clang then refuses the precompiled header in one of them.
target_compile_options(leat_mlir INTERFACE -fPIC
  $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions;-Wall;-Wextra;-Wno-unused-parameter>)
target_include_directories(leat_mlir SYSTEM INTERFACE ${MLIR_INCLUDE_DIRS} ${LLVM_INCLUDE_DIRS})
target_include_directories(leat_mlir INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/include ${CMAKE_BINARY_DIR})
target_link_libraries(leat_mlir INTERFACE MLIR LLVM)
target_link_options(leat_mlir INTERFACE -Wl,-rpath,${LLVM_LIBRARY_DIR})

# leat_precompiled_header(NAME HEADER libs...): a target that owns a precompiled header, compiled like a source whose object is the header. ccache does not keep
# it, since it names the folder it was built in, but keeps what is compiled with it: it knows it by the checksum beside it, if its name ends in .pch, so the
# object gets a link of that name. HEADER lies in or below the folder of the calling list file.
set(LEAT_PCH_FLAGS -fpch-instantiate-templates "SHELL:-Xclang -fno-pch-timestamp")
function(leat_precompiled_header name header)
  add_library(${name} OBJECT ${header})
  set_source_files_properties(${header} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-x;c++-header")
  target_link_libraries(${name} PRIVATE ${ARGN})
  target_compile_options(${name} PRIVATE ${LEAT_PCH_FLAGS})
  file(RELATIVE_PATH object ${CMAKE_CURRENT_SOURCE_DIR} ${header})
  set(object ${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/${name}.dir/${object}.o)
  set(pch ${CMAKE_CURRENT_BINARY_DIR}/${name}.pch)
  add_custom_command(OUTPUT ${pch} DEPENDS ${object} COMMAND ${CMAKE_COMMAND} -E create_symlink ${object} ${pch} VERBATIM)
  add_custom_target(${name}_file DEPENDS ${pch})
  set_target_properties(${name} PROPERTIES CXX_COMPILER_LAUNCHER "" LEAT_PCH ${pch})
endfunction()

# leat_installed_headers_sum(NAME HEADER VERSION): for a header that includes installed packages only, whose contents VERSION tells.
function(leat_installed_headers_sum name header version)
  get_target_property(pch ${name} LEAT_PCH)
  file(SHA256 ${header} sum)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${header})
  file(CONFIGURE OUTPUT ${pch}.sum CONTENT "@sum@ @version@ @CMAKE_CXX_COMPILER_VERSION@\n" @ONLY)
endfunction()

function(leat_use_precompiled_header target name)
  get_target_property(pch ${name} LEAT_PCH)
  target_compile_options(${target} PRIVATE ${LEAT_PCH_FLAGS} $<$<COMPILE_LANGUAGE:CXX>:-Winvalid-pch> "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-include-pch ${pch}>")
  get_target_property(sources ${target} SOURCES)
  set_property(SOURCE ${sources} APPEND PROPERTY OBJECT_DEPENDS "${pch};${pch}.sum")
endfunction()

# Every TableGen target is collected here, so that no source compiles before the headers it needs exist.
add_custom_target(leat_tablegen)

# Two precompiled headers for the whole compiler, one on top of the other: MLIR's headers, then those of the dialects that most of the compiler includes. An
# edited op costs a second for the second one, not the half minute of the first.
leat_precompiled_header(leat_pch ${CMAKE_SOURCE_DIR}/cmake/pch.h leat_mlir)
leat_installed_headers_sum(leat_pch ${CMAKE_SOURCE_DIR}/cmake/pch.h "MLIR ${LLVM_PACKAGE_VERSION}")
leat_precompiled_header(leat_dialects_pch ${CMAKE_SOURCE_DIR}/dialects/pch.h leat_mlir)
leat_use_precompiled_header(leat_dialects_pch leat_pch)
add_dependencies(leat_dialects_pch leat_tablegen)
get_target_property(pch leat_dialects_pch LEAT_PCH)
get_target_property(base leat_pch LEAT_PCH)
add_custom_command(OUTPUT ${pch}.sum DEPENDS ${pch} ${base}.sum ${CMAKE_SOURCE_DIR}/cmake/sum.cmake
  COMMAND ${CMAKE_COMMAND} -DSUM=${pch}.sum -DBASE=${base}.sum -DROOTS=${CMAKE_SOURCE_DIR}/dialects/Leat,${CMAKE_SOURCE_DIR}/dialects/ONNX,${CMAKE_BINARY_DIR}/dialects/Leat,${CMAKE_BINARY_DIR}/dialects/ONNX
    -P ${CMAKE_SOURCE_DIR}/cmake/sum.cmake VERBATIM)
add_custom_target(leat_dialects_pch_sum DEPENDS ${pch}.sum)

# leat_compiler_flags(NAME [PRIVATE]): PRIVATE where users of the target are not part of the compiler.
function(leat_compiler_flags name)
  set(scope PUBLIC)
  if(ARGN)
    set(scope ${ARGN})
  endif()
  target_link_libraries(${name} ${scope} leat_mlir)
  leat_use_precompiled_header(${name} leat_dialects_pch)
  add_dependencies(${name} leat_tablegen)
endfunction()

function(leat_compiler_library name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  leat_compiler_flags(${name})
  target_link_libraries(${name} PUBLIC ${ARG_LINK})
endfunction()

function(leat_compiler_tool name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  leat_compiler_flags(${name})
  target_link_libraries(${name} PRIVATE ${ARG_LINK})
endfunction()

function(leat_runtime_library name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/include ${CMAKE_BINARY_DIR})
  target_compile_options(${name} PRIVATE -fPIC -fvisibility=hidden
    $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions;-fno-rtti> -Wall -Wextra -Wno-unused-parameter)
  target_link_libraries(${name} PUBLIC ${ARG_LINK})
endfunction()

# leat_tablegen_dialect(FILE.td NAME mnemonic): everything of one dialect, written into the build folder that mirrors the source folder.
function(leat_tablegen_dialect td name)
  set(LLVM_TARGET_DEFINITIONS ${td})
  mlir_tablegen(${name}Dialect.h.inc -gen-dialect-decls -dialect=${ARGN})
  mlir_tablegen(${name}Dialect.cpp.inc -gen-dialect-defs -dialect=${ARGN})
  mlir_tablegen(${name}Ops.h.inc -gen-op-decls)
  mlir_tablegen(${name}Ops.cpp.inc -gen-op-defs)
  mlir_tablegen(${name}Types.h.inc -gen-typedef-decls -typedefs-dialect=${ARGN})
  mlir_tablegen(${name}Types.cpp.inc -gen-typedef-defs -typedefs-dialect=${ARGN})
  mlir_tablegen(${name}Attrs.h.inc -gen-attrdef-decls -attrdefs-dialect=${ARGN})
  mlir_tablegen(${name}Attrs.cpp.inc -gen-attrdef-defs -attrdefs-dialect=${ARGN})
  mlir_tablegen(${name}Enums.h.inc -gen-enum-decls)
  mlir_tablegen(${name}Enums.cpp.inc -gen-enum-defs)
  add_public_tablegen_target(leat_${name}_inc)
  add_dependencies(leat_tablegen leat_${name}_inc)
endfunction()

function(leat_tablegen_passes name)
  set(LLVM_TARGET_DEFINITIONS Passes.td)
  mlir_tablegen(Passes.h.inc -gen-pass-decls -name=${name})
  add_public_tablegen_target(leat_${name}_passes_inc)
  add_dependencies(leat_tablegen leat_${name}_passes_inc)
endfunction()
