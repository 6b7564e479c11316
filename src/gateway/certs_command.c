// generate-certs: the bundle of gateway/bundle.h on this machine.
#include "cmd/report.h"
#include "gateway/bundle.h"
#include "gateway/commands.h"

enum { OPT_DIR, OPT_SAN, OPT_DRY };

static const struct opt opts[] = {
    [OPT_DIR] = {.name = "output-dir",
                 .type = OPT_PATH,
                 .value = "DIR",
                 .env = "OPENSHELL_LOCAL_TLS_DIR",
                 .help = "The folder for the files, instead of $XDG_STATE_HOME/openshell/tls or "
                         "~/.local/state/openshell/tls"},
    [OPT_SAN] =
        {.name = "server-san",
         .type = OPT_STRING,
         .value = "NAME",
         .repeat = true,
         .env = "OPENSHELL_SERVER_SAN",
         .help = "A further name or address that clients reach the gateway by, or several with commas"},
    [OPT_DRY] = {.name = "dry-run",
                 .type = OPT_FLAG,
                 .help = "Print what would be written, and write nothing"},
};

static const struct example examples[] = {
    {"For this machine", "openshell-gateway generate-certs"},
    {"For a gateway that others reach, too",
     "openshell-gateway generate-certs --server-san gateway.example.com --server-san 192.0.2.7"},
};

static enum err_code read_sans(const struct args *a, struct conf *scratch, struct conf_list *ret,
                               struct err *reterr)
{
    struct conf_list more = {};
    size_t given = args_count(a, &opts[OPT_SAN]), n = given > 0 ? given : 1;
    for (size_t i = 0; i < n; i++) {
        const char *value = given > 0 ? args_nth(a, &opts[OPT_SAN], i) : args_value(a, &opts[OPT_SAN]);
        enum err_code r = value ? conf_set(scratch, STR("server-san"), str_of(value), reterr) : ERR_OK;
        if (r != ERR_OK)
            return err_wrap(reterr, r, "--server-san");
        if (more.n + scratch->server_sans.n > CONF_LIST_MAX)
            return err_set(reterr, ERR_LIMIT, "more than %d names", CONF_LIST_MAX);
        for (size_t k = 0; k < scratch->server_sans.n; k++)
            more.v[more.n++] = scratch->server_sans.v[k];
    }
    return bundle_sans(&more, ret, reterr);
}

static int dry_run(struct cli *cli, const struct conf_list *sans)
{
    struct bundle b;
    struct err err = {};
    if (bundle_make(sans, &b, &err) != ERR_OK)
        return report(cli, err.msg, "no certificates were made");
    for (size_t i = 0; i < BUNDLE_FILES; i++) {
        buf_addf(&cli->out, "# %s\n", bundle_names[i]);
        buf_add(&cli->out, buf_str(&b.files[i]));
    }
    bundle_done(&b);
    return 0;
}

static int run(struct cli *cli, const struct args *a)
{
    static const char *const did[] = {[BUNDLE_KEPT] = "Certificates are complete",
                                      [BUNDLE_MADE] = "Certificates were made",
                                      [BUNDLE_REISSUED] = "The server's certificate was issued again"};
    struct err err = {};
    struct conf scratch;
    struct conf_list sans;
    char dir[CONF_PATH_SIZE], copy[CONF_PATH_SIZE];
    enum bundle_did done = BUNDLE_KEPT;
    conf_init(&scratch);
    enum err_code r = read_sans(a, &scratch, &sans, &err);
    int status = 0;
    const char *given = args_value(a, &opts[OPT_DIR]);
    if (r != ERR_OK)
        status = report(cli, err.msg, "a name of the server is not good");
    else if (args_count(a, &opts[OPT_DRY]) > 0)
        status = dry_run(cli, &sans);
    else if (given ? !str_cstr(str_of(given), dir, sizeof(dir)) : !conf_tls_place(dir))
        status = report(cli, "neither XDG_STATE_HOME nor HOME is set",
                        "no place for the files; name one with --output-dir");
    else if (!conf_client_place(copy))
        status = report(cli, "neither XDG_CONFIG_HOME nor HOME is set",
                        "no place for the command line's certificate");
    else if (bundle_ensure(dir, &sans, &done, &err) != ERR_OK)
        status = report(cli, err.msg, "no certificates were made");
    else if (bundle_install(dir, copy, &err) != ERR_OK)
        status = report(cli, err.msg, "the command line's certificate cannot be put into %s", copy);
    else
        buf_addf(&cli->out, "%s: %s\nFor the openshell command: %s\n", did[done], dir, copy);
    conf_done(&scratch);
    return status;
}

const struct command generate_certs_command = {
    .name = "generate-certs",
    .alias = "",
    .about = "Make a CA, a certificate for the gateway and one for its user",
    .text = "Files that are there stay. Where the server's certificate lacks a name that was asked for, it "
            "is issued "
            "again by the same CA. The user's certificate is copied to where the openshell command looks for "
            "that of "
            "the gateway named openshell.\n\n"
            "The certificates are good for ten years. The CA's key, ca.key, is needed to issue more; keep it "
            "where "
            "only you can read it.",
    COMMAND_TABLE(opts, opts),
    COMMAND_TABLE(examples, examples),
    .run = run,
};
