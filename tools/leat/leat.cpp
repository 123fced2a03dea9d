// leat: the command line.
#include "lib/Driver/Driver.h"

int main(int argc, char **argv) { return leat::driver::main(argc, argv); }
