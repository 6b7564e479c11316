// The roles egress and init are started by the launcher with descriptors at fixed numbers; they are no
// commands, and started by hand they end at once, for want of those.
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/program.h"
#include "supervisor/commands.h"
#include "supervisor/egress/role.h"
#include "supervisor/init.h"

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "egress") == 0)
        _exit(
            egress_main()); // threads of connections may still run: nothing of theirs is torn down under them
    if (argc == 2 && strcmp(argv[1], "init") == 0)
        return init_main();
    (void)umask(
        022); // the folders of a sandbox are for users other than this one; files of ours say their mode
    return program_main(sandbox_root(), argc, argv);
}
