// gen_man DIR: writes every manual page. Run by the build, not installed.
#include "supervisor/commands.h"
#include "cmd/manpage.h"

int main(int argc, char **argv)
{
    return manpage_main(sandbox_root(), argc, argv);
}
