#include "gateway/compute/quantity.h"

#include "tap.h"

static const struct {
    const char *text;
    uint64_t want; // 0: refused
} cpus[] = {
    {"1", 1000},
    {"500m", 500},
    {"1.5", 1500},
    {"0.1", 100},
    {"0.0001", 1}, // rounded up
    {"1000000", 1'000'000'000},
    {"1000001", 0},
    {"0", 0},
    {"0m", 0},
    {"", 0},
    {"m", 0},
    {".5", 0},
    {"1.", 0},
    {"1..5", 0},
    {"-1", 0},
    {"1k", 0},
    {"1 ", 0},
    {"1234567890123456789", 0},
};

static const struct {
    const char *text;
    uint64_t want;
} sizes[] = {
    {"1", 1},
    {"512Mi", 512ULL << 20},
    {"2Gi", 2ULL << 30},
    {"1.5Gi", 3ULL << 29},
    {"2G", 2'000'000'000},
    {"1k", 1000},
    {"1Ki", 1024},
    {"1e9", 1'000'000'000},
    {"12E2", 1200},
    {"1E", 1'000'000'000'000'000'000},
    {"3Ei", 3ULL << 60},
    {"5Ei", 0},
    {"1e19", 0},
    {"1e", 0},
    {"e9", 0},
    {"1K", 0},
    {"1ki", 0},
    {"1i", 0},
    {"i", 0},
    {"Mi", 0},
    {"0Mi", 0},
    {"0.1", 1},
    {"-1Gi", 0},
    {"1 Gi", 0},
    {"1GiB", 0},
    {"", 0},
};

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(cpus); i++) {
        uint64_t got = 0;
        bool ok = quantity_cpu_milli(str_of(cpus[i].text), &got);
        if (!tap_ok(ok == (cpus[i].want != 0) && got == cpus[i].want, "processors: '%s'", cpus[i].text))
            tap_note("%d %llu", ok, (unsigned long long)got);
    }
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        uint64_t got = 0;
        bool ok = quantity_bytes(str_of(sizes[i].text), &got);
        if (!tap_ok(ok == (sizes[i].want != 0) && got == sizes[i].want, "bytes: '%s'", sizes[i].text))
            tap_note("%d %llu", ok, (unsigned long long)got);
    }
    const struct str nul = {"1\0", 2};
    uint64_t got = 0;
    tap_ok(!quantity_bytes(nul, &got), "bytes: a NUL is no unit");
    return tap_done();
}
