// Runs every file of a corpus folder through a fuzz target, once, without libFuzzer: so the finds of past
// fuzzing stay tested by every compiler and sanitizer. Ends with an error when the folder is missing or
// empty.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
        return 2;
    }
    struct dirent **names = NULL;
    int n = scandir(argv[1], &names, NULL, alphasort);
    int ran = 0;
    for (int i = 0; i < n; i++) {
        char path[4096];
        (void)snprintf(path, sizeof(path), "%s/%s", argv[1], names[i]->d_name);
        FILE *f = names[i]->d_name[0] == '.' ? NULL : fopen(path, "rbe");
        if (f) {
            static uint8_t data[1 << 21];
            size_t size = fread(data, 1, sizeof(data), f);
            (void)fclose(f);
            uint8_t *copy = malloc(size + 1); // its own block, so that a sanitizer sees an overrun
            if (copy) {
                for (size_t k = 0; k < size; k++)
                    copy[k] = data[k];
                (void)LLVMFuzzerTestOneInput(copy, size);
                free(copy);
                printf("ok %d - %s\n", ++ran, names[i]->d_name);
            }
        }
        free(names[i]);
    }
    free(names);
    if (ran == 0)
        printf("not ok 1 - no seeds in %s\n", argv[1]);
    printf("1..%d\n", ran ? ran : 1);
    return ran == 0;
}
