# Writes SUM: one checksum of the headers in the folders ROOTS (separated by commas) and of the file BASE. By content and name, not by place, so that two
# checkouts of one commit agree.
string(REPLACE "," ";" ROOTS "${ROOTS}")
file(READ ${BASE} all)
foreach(root ${ROOTS})
  file(GLOB headers RELATIVE ${root} ${root}/*.h ${root}/*.h.inc)
  list(SORT headers)
  foreach(header ${headers})
    file(SHA256 ${root}/${header} sum)
    string(APPEND all "${header} ${sum}\n")
  endforeach()
endforeach()
string(SHA256 sum "${all}")
file(WRITE ${SUM} "${sum}\n")
