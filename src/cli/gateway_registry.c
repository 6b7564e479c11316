// gateway list, select, remove: the registry of gateways. Nobody is asked.
#include "cli/commands.h"
#include "cli/gateway.h"
#include "cli/show.h"

static const char *type_word(const struct registered *g)
{
    if (strcmp(g->auth, "cloudflare_jwt") == 0)
        return "cloud";
    return g->is_remote ? "remote" : "local";
}

static const char *auth_word(const struct registered *g)
{
    if (g->auth[0])
        return g->auth;
    return str_starts(str_of(g->endpoint), STR("http://")) ? "plaintext" : "mtls";
}

// The one that counts now: of --gateway or its variable, else the active one.
static bool current(const struct args *a, const struct registry *r, char name[static REGISTRY_NAME_SIZE])
{
    const char *given = args_value(a, &gateway_opts[GATEWAY_OPT_NAME]);
    if (given && str_trim(str_of(given)).n > 0)
        return str_cstr(str_of(given), name, REGISTRY_NAME_SIZE);
    return registry_active(r, name);
}

// ---- list

enum { OPT_OUTPUT };
static const struct opt list_opts[] = {[OPT_OUTPUT] = SHOW_OUTPUT_OPT};

static int list_json(struct cli *cli, const struct args *a, const struct registered *v, size_t n,
                     const char *active)
{
    bool ok = true;
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        const struct registered *g = &v[i];
        json_t *o = json_object();
        json_put(o, "active", json_boolean(strcmp(g->name, active) == 0), &ok);
        json_put(o, "auth", json_text(str_of(auth_word(g))), &ok);
        json_put(o, "endpoint", json_text(str_of(g->endpoint)), &ok);
        json_put(o, "is_remote", json_boolean(g->is_remote), &ok);
        json_put(o, "name", json_text(str_of(g->name)), &ok);
        json_put(o, "remote_host", g->remote_host[0] ? json_text(str_of(g->remote_host)) : json_null(), &ok);
        json_put(o, "resolved_host", g->resolved_host[0] ? json_text(str_of(g->resolved_host)) : json_null(),
                 &ok);
        json_put(o, "source", json_string(g->is_system ? "system" : "user"), &ok);
        json_put(o, "type", json_string(type_word(g)), &ok);
        json_push(list, o, &ok);
    }
    return show_structured(cli, a, &list_opts[OPT_OUTPUT], list, ok);
}

static int list_table(struct cli *cli, const struct registered *v, size_t n, const char *active)
{
    static const char *const headings[] = {"NAME", "ENDPOINT", "TYPE", "SOURCE", "AUTH", "REMOTE"};
    bool remote = false;
    for (size_t i = 0; i < n; i++)
        remote = remote || v[i].remote_host[0];
    CLEANUP(table_done) struct table t;
    table_init(&t, headings, ARRAY_LEN(headings) - !remote);
    t.marked = true;
    for (size_t i = 0; i < n; i++) {
        bool is = strcmp(v[i].name, active) == 0;
        const char *const cells[] = {v[i].name, v[i].endpoint, type_word(&v[i]),
                                     v[i].is_system ? "system" : "user", auth_word(&v[i])};
        table_row(&t);
        for (size_t c = 0; c < ARRAY_LEN(cells); c++)
            table_cell(&t, c, is ? STYLE_GREEN : -1, cells[c]);
        if (remote && v[i].resolved_host[0])
            table_cellf(&t, 5, "%s -> %s", v[i].remote_host, v[i].resolved_host);
        else if (remote)
            table_cell(&t, 5, -1, v[i].remote_host[0] ? v[i].remote_host : "-");
        if (is)
            table_mark(&t);
    }
    return table_print(&t, cli);
}

static int print_list(struct cli *cli, const struct args *a, bool structured)
{
    struct registry r;
    struct err err = {};
    struct registered *v = NULL;
    size_t n = 0;
    char active[REGISTRY_NAME_SIZE] = "";
    CLEANUP(arena_done) struct arena arena;
    arena_init(&arena, 4 * MIB);
    registry_init(&r);
    if (registry_list(&r, &arena, &v, &n, &err) != ERR_OK)
        return report(cli, err.msg, "the gateways cannot be listed");
    if (!current(a, &r, active))
        active[0] = '\0';
    if (structured)
        return list_json(cli, a, v, n, active);
    if (n > 0)
        return list_table(cli, v, n, active);
    buf_addf(&cli->out, "No gateways found.\n\nRegister one: openshell gateway add <endpoint>\n");
    return 0;
}

static int list_run(struct cli *cli, const struct args *a)
{
    return print_list(cli, a, show_is_structured(a, &list_opts[OPT_OUTPUT]));
}

const struct command gateway_list_command = {
    .name = "list",
    .alias = "",
    .section = "COMMANDS",
    .about = "List the gateways that are registered",
    .text = "Those of the user and, behind them, those of the system (/etc/openshell). A star marks the "
            "active one. "
            "Nobody is asked whether they run.",
    COMMAND_TABLE(opts, list_opts),
    .run = list_run,
};

// ---- select

static const struct arg select_args[] = {{.name = "NAME",
                                          .type = OPT_STRING,
                                          .optional = true,
                                          .kind = "gateway",
                                          .help = "Its name, or 'local' for your own on this machine"}};

// The user's own has no entry: it counts where no other is active.
static int select_own(struct cli *cli, const struct registry *r)
{
    struct err err = {};
    char still[REGISTRY_NAME_SIZE];
    if (registry_deselect(r, &err) != ERR_OK)
        return report(cli, err.msg, "the active gateway cannot be changed");
    if (registry_active(r, still))
        return report(
            cli, "the system has an active gateway, and what is not registered cannot stand in front of it",
            "gateway '" GATEWAY_LOCAL "' cannot be made active; 'openshell gateway add' registers it");
    show_err(cli, SHOW_DONE, "Active gateway set to '%s'", GATEWAY_LOCAL);
    return 0;
}

static int select_run(struct cli *cli, const struct args *a)
{
    struct registry r;
    struct registered g;
    struct err err = {};
    registry_init(&r);
    if (a->words_n == 0) {
        int status = print_list(cli, a, false);
        if (status == 0)
            show_err_line(cli, "\nChoose one: openshell gateway select <name>");
        return status;
    }
    const char *name = a->words[0], *variable = getenv("OPENSHELL_GATEWAY");
    enum err_code c = registry_find(&r, name, &g, &err);
    if (c == ERR_NOT_FOUND && strcmp(name, GATEWAY_LOCAL) == 0)
        return select_own(cli, &r);
    if (c != ERR_OK)
        return report(cli, "'openshell gateway list' shows those that are registered", "%s", err.msg);
    if (registry_select(&r, name, &err) != ERR_OK)
        return report(cli, err.msg, "the active gateway cannot be changed");
    show_err(cli, SHOW_DONE, "Active gateway set to '%s'", name);
    if (variable && variable[0] && strcmp(variable, name) != 0)
        show_err(cli, SHOW_ATTENTION, "OPENSHELL_GATEWAY is set to '%s', which counts before it", variable);
    return 0;
}

static const struct example select_examples[] = {
    {"From now on, that one", "openshell gateway select staging"},
    {"Back to your own on this machine", "openshell gateway select local"},
};

const struct command gateway_select_command = {
    .name = "select",
    .alias = "",
    .section = "COMMANDS",
    .about = "Make a gateway the active one",
    .text = "Without a name: lists them.",
    COMMAND_TABLE(args, select_args),
    COMMAND_TABLE(examples, select_examples),
    .run = select_run,
};

// ---- remove

static const struct arg remove_args[] = {{.name = "NAME",
                                          .type = OPT_STRING,
                                          .optional = true,
                                          .kind = "gateway",
                                          .help = "Its name; without it, the active one"}};

static int remove_run(struct cli *cli, const struct args *a)
{
    struct registry r;
    struct registered g = {}; // stays so where its file is damaged, which is no reason to keep it
    struct err err = {};
    char name[REGISTRY_NAME_SIZE];
    registry_init(&r);
    if (a->words_n > 0 ? !str_cstr(str_of(a->words[0]), name, sizeof(name)) : !current(a, &r, name))
        return report(cli, "'openshell gateway list' shows those that are registered",
                      "No gateway configured");
    if (registry_find(&r, name, &g, &err) == ERR_NOT_FOUND)
        return report(cli, "'openshell gateway list' shows those that are registered", "%s", err.msg);
    if (g.is_system)
        return report(cli, "'openshell gateway add --name NAME' registers another under its name",
                      "gateway '%s' is the system's and cannot be removed", name);
    if (registry_remove(&r, name, &err) != ERR_OK)
        return report(cli, err.msg, "gateway '%s' cannot be removed", name);
    show_err(cli, SHOW_DONE, "Gateway registration '%s' removed.", name);
    return 0;
}

const struct command gateway_remove_command = {
    .name = "remove",
    .alias = "",
    .section = "COMMANDS",
    .about = "Forget a gateway",
    .text = "Its metadata and tokens are removed; certificates stay. The gateway itself is not asked and "
            "goes on.",
    COMMAND_TABLE(args, remove_args),
    .run = remove_run,
};
