/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scripts that make a verb one step at the server, where plain commands cannot tell a value
 * from a marker. They answer a number: a status of the verb table, as digits (see
 * redis_verbs.c), or the server's error as it is. KEYS[1] is the key.
 *
 * EVAL with the whole text rather than its hash: a restarted server forgets hashes, and a second
 * trip costs more than the text.
 */
#ifndef HEARTH_REMOTE_REDIS_SCRIPTS_H
#define HEARTH_REMOTE_REDIS_SCRIPTS_H

/* Lua has lines of its own. */
/* clang-format off */

/* `head`: the first bytes, or an error: another type, no permission. */
#define HEARTH__LUA_LOOK(last) \
    "local key=KEYS[1]\n" \
    "local head=redis.pcall('GETRANGE',key,0," last ")\n"

/* The same, where an error is the answer. */
#define HEARTH__LUA_HEAD(last) \
    HEARTH__LUA_LOOK(last) \
    "if type(head)=='table' then return head end\n"

/*
 * `verdict`: what the verb table says of what is there. ARGV[1] is the verb's column of the
 * table, one digit for each enum hearth__holding in its order; `at` is the holding, judged as
 * hearth__holding_of() does. Digits of equal length compare as numbers: Lua's own numbers end
 * at 2^53.
 */
#define HEARTH__LUA_VERDICT \
    "local at=6\n" \
    "if head=='' then\n" \
    "  if redis.call('EXISTS',key)==0 then at=0 end\n" \
    "elseif head:sub(1,4)=='\\137HRT' then\n" \
    "  at=7\n" \
    "  if #head==48 and head:byte(5)==1 and head:byte(7)+256*head:byte(8)>=48\n" \
    "      and (head:byte(9)==0 or head:byte(9)==8) and head:byte(10)==0 then\n" \
    "    at=({1,3,4,2})[head:byte(6)+1] or 7\n" \
    "  end\n" \
    "elseif #head<=19 and head:find('^%d+$') and (#head==1 or head:byte(1)~=48)\n" \
    "    and (#head<19 or head<='9223372036854775807') then\n" \
    "  at=5\n" \
    "end\n" \
    "local verdict=ARGV[1]:byte(at+1)-48\n"

/* Stores ARGV[2], for ARGV[3] ms if that is there. */
#define HEARTH__LUA_SET \
    "local done\n" \
    "if ARGV[3] then done=redis.pcall('SET',key,ARGV[2],'PX',ARGV[3])\n" \
    "else done=redis.pcall('SET',key,ARGV[2]) end\n" \
    "if done.err then return done end\n" \
    "return 0\n"

/* ADD, REPLACE. */
static const char hearth__lua_store[] =
    HEARTH__LUA_HEAD("47")
    HEARTH__LUA_VERDICT
    "if verdict~=0 then return verdict end\n"
    HEARTH__LUA_SET;

/* Goes on only over the version ARGV[1], as hearth__swap_status() has it. */
#define HEARTH__LUA_OVER_VERSION \
    "if head=='' and redis.call('EXISTS',key)==0 then return 1 end\n" \
    "if #head<24 or head:sub(1,4)~='\\137HRT' or head:byte(5)>1\n" \
    "    or (head:byte(9)~=0 and head:byte(9)~=8) or head:byte(10)~=0\n" \
    "    or head:sub(17,24)~=ARGV[1] then\n" \
    "  return 4\n" \
    "end\n"

/* SWAP. */
static const char hearth__lua_swap[] =
    HEARTH__LUA_HEAD("23")
    HEARTH__LUA_OVER_VERSION
    HEARTH__LUA_SET;

/* DELETE: also of another type, which counts as foreign. */
static const char hearth__lua_delete[] =
    HEARTH__LUA_LOOK("47")
    "if type(head)=='table' then\n"
    "  if not head.err:find('WRONGTYPE',1,true) then return head end\n"
    "  head='-'\n"
    "end\n"
    HEARTH__LUA_VERDICT
    "local done=redis.pcall('DEL',key)\n"
    "if type(done)=='table' then return done end\n"
    "return verdict\n";

/*
 * INCREMENT by ARGV[2]. ARGV[3] is the largest number that may be added to, or, for a negative
 * amount, the smallest that does not end at 0. Answers the sum in digits, or a verdict.
 */
static const char hearth__lua_increment[] =
    HEARTH__LUA_HEAD("47")
    HEARTH__LUA_VERDICT
    "if verdict~=0 then return verdict end\n"
    "local bound=ARGV[3]\n"
    "local below=#head<#bound or (#head==#bound and head<bound)\n"
    "local done\n"
    "if ARGV[2]:sub(1,1)=='-' and below then\n"
    "  done=redis.pcall('DECRBY',key,head)\n"
    "elseif ARGV[2]:sub(1,1)~='-' and not below and head~=bound then\n"
    "  return 6\n"
    "else\n"
    "  done=redis.pcall('INCRBY',key,ARGV[2])\n"
    "end\n"
    "if type(done)=='table' then return done end\n"
    "return redis.call('GET',key)\n";

/*
 * FILL, EXTEND and RELEASE: `head` begins as the lease with the token ARGV[1] does, as hearth__envelope_has_token() has it. GETEX
 * without options changes nothing, but counts as a write: so what follows is not told to those who are told of what this connection
 * has read. Servers before 6.2 do not know it.
 */
#define HEARTH__LUA_LEASE \
    "local key=KEYS[1]\n" \
    "local head=redis.pcall('GETEX',key)\n" \
    "if not head then return 1 end\n" \
    "if type(head)=='table' then head=redis.pcall('GETRANGE',key,0,67) end\n" \
    "if type(head)=='table' then\n" \
    "  if not head.err:find('WRONGTYPE',1,true) then return head end\n" \
    "  return 4\n" \
    "end\n" \
    "if head=='' and redis.call('EXISTS',key)==0 then return 1 end\n" \
    "if #head<68 or head:sub(1,4)~='\\137HRT' or head:byte(5)>1 or head:byte(6)~=2\n" \
    "    or head:sub(9,10)~='\\0\\0' or head:sub(49,52)~='\\4\\0\\16\\0'\n" \
    "    or head:sub(53,68)~=ARGV[1] then\n" \
    "  return 4\n" \
    "end\n"

static const char hearth__lua_fill[] =
    HEARTH__LUA_LEASE
    HEARTH__LUA_SET;

static const char hearth__lua_extend[] =
    HEARTH__LUA_LEASE
    "local done=redis.pcall('PEXPIRE',key,ARGV[2])\n"
    "if type(done)=='table' then return done end\n"
    "return 0\n";

static const char hearth__lua_release[] =
    HEARTH__LUA_LEASE
    "local done=redis.pcall('DEL',key)\n"
    "if type(done)=='table' then return done end\n"
    "return 0\n";

/* A new life of ARGV[3] ms, or without end if that is not there. */
#define HEARTH__LUA_LIFE \
    "if ARGV[3] then done=redis.pcall('PEXPIRE',key,ARGV[3])\n" \
    "else done=redis.pcall('PERSIST',key) end\n" \
    "if type(done)=='table' then return done end\n" \
    "return 0\n"

/* TOUCH of a value: the header ARGV[1] becomes ARGV[2]. */
static const char hearth__lua_renew[] =
    HEARTH__LUA_HEAD("47")
    "if head~=ARGV[1] then return 4 end\n"
    "local done=redis.pcall('SETRANGE',key,0,ARGV[2])\n"
    "if type(done)=='table' then return done end\n"
    HEARTH__LUA_LIFE;

/* MARK: the header ARGV[1] becomes ARGV[2], and its life goes on; what begins so and cannot be marked goes. */
#define HEARTH__LUA_AS_SEEN \
    HEARTH__LUA_HEAD("47") \
    "if head~=ARGV[1] then return 4 end\n"

static const char hearth__lua_mark[] =
    HEARTH__LUA_AS_SEEN
    "local done=redis.pcall('SETRANGE',key,0,ARGV[2])\n"
    "if type(done)=='table' then return done end\n"
    "return 0\n";

static const char hearth__lua_remove[] =
    HEARTH__LUA_AS_SEEN
    "local done=redis.pcall('DEL',key)\n"
    "if type(done)=='table' then return done end\n"
    "return 1\n";

/* SWAP of the header alone, which becomes ARGV[2]: the body is that of the version, and begins where it does there. */
static const char hearth__lua_swap_header[] =
    HEARTH__LUA_HEAD("47")
    HEARTH__LUA_OVER_VERSION
    "if head:sub(7,8)~=ARGV[2]:sub(7,8) or head:sub(37,40)~=ARGV[2]:sub(37,40) then\n"
    "  return 4\n"
    "end\n"
    "local done=redis.pcall('SETRANGE',key,0,ARGV[2])\n"
    "if type(done)=='table' then return done end\n"
    HEARTH__LUA_LIFE;

/* TOUCH of what has no header, where the table allows it. ARGV[2] is not used. */
static const char hearth__lua_prolong[] =
    HEARTH__LUA_HEAD("47")
    HEARTH__LUA_VERDICT
    "if verdict~=0 then return verdict end\n"
    "local done\n"
    HEARTH__LUA_LIFE;

/* clang-format on */

#endif
