#include "supervisor/launch_args.h"

#include <sys/sysinfo.h>

#include "cmd/diag_render.h"

bool launch_limits(struct cli *cli, const struct args *a, const struct launch_limits *rows,
                   struct launch_opts *o)
{
    struct sysinfo info;
    const char *memory = args_value(a, rows->memory), *cpus = args_value(a, rows->cpus);
    const char *scratch = args_value(a, rows->scratch), *pids = args_value(a, rows->pids);
    if (memory && !limits_bytes(str_of(memory), &o->limits.memory))
        return report_usage(cli, a, "a number of bytes, or with k, m, g, t behind it", "--memory %s", memory),
               false;
    if (cpus && !limits_cpus(str_of(cpus), &o->limits.cpu_milli))
        return report_usage(cli, a, "a number with at most three decimals", "--cpus %s", cpus), false;
    if (pids && (!str_u64(str_of(pids), PIDS_MAX, &o->limits.pids) || o->limits.pids == 0))
        return report_usage(cli, a, "a number from 1 to 4194304", "--pids %s", pids), false;
    if (sysinfo(&info) != 0)
        return report(cli, NULL, "cannot tell how much memory this machine has"), false;
    o->scratch = (uint64_t)info.totalram * info.mem_unit / 2;
    if (scratch && !limits_bytes(str_of(scratch), &o->scratch))
        return report_usage(cli, a, "a number of bytes, or with k, m, g, t behind it", "--scratch %s",
                            scratch),
               false;
    return true;
}

bool launch_is_name(const char *s)
{
    size_t n = strlen(s);
    bool ok = n > 0 && n <= NAME_MAX_BYTES && s[0] != '-' && s[n - 1] != '-';
    for (; ok && *s; s++)
        ok = char_is_alpha(*s) || char_is_digit(*s) || *s == '-';
    return ok;
}

int launch_plan_failed(struct cli *cli, const char *policy, const struct plan *p, const struct diags *diags,
                       const struct err *err)
{
    if (diags->errors == 0) {
        (void)report(cli, err->msg, "the sandbox cannot be set up");
        return EXIT_SETUP;
    }
    CLEANUP(buf_done) struct buf b;
    buf_init(&b, CLI_OUT_MAX);
    diags_render(diags, policy, buf_str(&p->policy_text), &cli->err_term, &b);
    cli_write_err(cli, &b);
    (void)report(cli, err->msg, "%s is not a valid policy", policy);
    return EXIT_SETUP;
}
