#include "cli/commands.h"
#include "cmd/program.h"

int main(int argc, char **argv)
{
    return program_main(command_root(), argc, argv);
}
