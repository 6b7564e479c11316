#include "cli/sibling.h"

#include <sys/stat.h>
#include <unistd.h>

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

bool sibling_find(const char *name, char dst[static SIBLING_PATH_SIZE])
{
    char own[SIBLING_PATH_SIZE];
    ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);
    char *slash = n > 0 ? memrchr(own, '/', (size_t)n) : NULL;
    if (slash) {
        int len = snprintf(dst, SIBLING_PATH_SIZE, "%.*s/%s", (int)(slash - own), own, name);
        if (len < SIBLING_PATH_SIZE && is_program(dst))
            return true;
    }
    struct str rest = str_of(getenv("PATH")), dir;
    while (rest.n > 0 && str_split(&rest, ':', &dir)) {
        int len = snprintf(dst, SIBLING_PATH_SIZE, "%.*s/%s", (int)dir.n, dir.n ? dir.p : "", name);
        if (str_starts(dir, STR("/")) && len < SIBLING_PATH_SIZE && is_program(dst))
            return true;
    }
    return false;
}
