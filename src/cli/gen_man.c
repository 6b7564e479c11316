// gen_man DIR: writes every manual page. Run by the build, not installed.
#include "cli/commands.h"
#include "cmd/manpage.h"

int main(int argc, char **argv)
{
    return manpage_main(command_root(), argc, argv);
}
