#include "cmd/program.h"
#include "gateway/commands.h"
#include "gateway/compute/process.h"

int main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "launch") == 0) // started by ourselves, between gateway and sandbox
        return process_launch_main(argc, argv);
    return program_main(gateway_root(), argc, argv);
}
