// base/banned.h: libc calls that are compile errors here, because each has a bounded or checked counterpart.
// Included at the end of base.h, behind the libc headers that declare these names.
#pragma once

#define BANNED(name, instead) name##_is_banned_use_##instead

#undef strcpy
#undef strcat
#undef strncpy
#undef strncat
#define strcpy(...)   BANNED(strcpy, buf_add)
#define strcat(...)   BANNED(strcat, buf_add)
#define strncpy(...)  BANNED(strncpy, str_cstr)
#define strncat(...)  BANNED(strncat, buf_add)
#define sprintf(...)  BANNED(sprintf, buf_addf)
#define vsprintf(...) BANNED(vsprintf, buf_addf)
#define gets(...)     BANNED(gets, getline)
#define strtok(...)   BANNED(strtok, str_split)
#define atoi(...)     BANNED(atoi, str_u64)
#define atol(...)     BANNED(atol, str_u64)
#define atoll(...)    BANNED(atoll, str_u64)
#define strtol(...)   BANNED(strtol, str_u64)
#define strtoul(...)  BANNED(strtoul, str_u64)
#define strtoull(...) BANNED(strtoull, str_u64)
#define system(...)   BANNED(system, posix_spawn)
#define popen(...)    BANNED(popen, posix_spawn)
#undef alloca
#define alloca(...) BANNED(alloca, arena)
#define mktemp(...) BANNED(mktemp, mkostemp)
#define tmpnam(...) BANNED(tmpnam, mkostemp)
