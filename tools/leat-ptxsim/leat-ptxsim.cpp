// leat-ptxsim: runs anyone's PTX on the CPU, with checks.
#include "runtime/device/sim/Tool.h"

int main(int argc, char **argv) { return leat::sim::toolMain(argc, argv); }
