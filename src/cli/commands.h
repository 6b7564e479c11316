// cli/commands.h: the tree of commands, one object each, in the file of its name.
#pragma once
#include "cmd/command.h"

[[nodiscard]] const struct command *command_root(void); // the tree that is built

extern const struct command policy_check_command, policy_explain_command, policy_test_command,
    policy_fmt_command, policy_diff_command, completions_command;
extern const struct command policy_set_command, policy_get_command, policy_list_command,
    policy_update_command, policy_delete_command, settings_command, logs_command;
extern const struct command status_command, whoami_command, doctor_command;
extern const struct command gateway_info_command, gateway_add_command, gateway_list_command,
    gateway_select_command, gateway_remove_command;
extern const struct command sandbox_create_command, sandbox_get_command, sandbox_list_command,
    sandbox_delete_command, sandbox_stop_command, sandbox_start_command, sandbox_exec_command,
    sandbox_connect_command, sandbox_provider_command;
extern const struct command provider_create_command, provider_get_command, provider_list_command,
    provider_update_command, provider_delete_command, provider_list_profiles_command,
    provider_profile_export_command, inference_command;
