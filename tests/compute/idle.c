// Stands for openshell-sandbox in a container: says who it is and waits; with log level "error" it fails.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void on_term(int signum)
{
    (void)signum;
    _exit(0);
}

int main(void)
{
    const char *id = getenv("OPENSHELL_SANDBOX_ID"), *level = getenv("OPENSHELL_LOG_LEVEL");
    char token[64] = "";
    FILE *f = fopen(getenv("OPENSHELL_SANDBOX_TOKEN_FILE"), "re");
    if (!id || !f || !fgets(token, sizeof(token), f))
        return 3;
    (void)fclose(f);
    printf("uid=%d id=%s token=%s\n", (int)getuid(), id, token);
    if (level && strcmp(level, "error") == 0) { // a sandbox of this level is one that fails
        (void)fputs("the last words\n", stderr);
        return 7;
    }
    (void)fflush(stdout);
    (void)signal(SIGTERM, on_term);
    for (;;)
        (void)pause();
}
