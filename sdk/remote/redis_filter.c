/* SPDX-License-Identifier: Apache-2.0 */
#include "remote/redis_filter.h"

#include "remote/redis_command.h"
#include "remote/redis_verbs.h"

/* Lua has lines of its own. */
/* clang-format off */

/*
 * `m`: what there is (guard/bloom_share.h), of 52 bytes, and behind it the server by which it was published: its run, and the
 * history of its data. After a restart, a failover or a resync one of the two is another, and what was acknowledged may be lost.
 */
#define KNOW \
    "local k,a=KEYS[1],ARGV[1]\n" \
    "local none=('0'):rep(24)\n" \
    "local m=redis.call('GET',k)\n" \
    "if m and (#m<53 or m:sub(1,4)~='HBF1') then m=false end\n"

#define WHO \
    "local who=redis.call('INFO','server'):match('run_id:(%x+)')..':'..\n" \
    "  redis.call('INFO','replication'):match('master_replid:(%x+)')\n"

/* `whole`: both filters have all their blocks, and the log is there. `last`: the log's last number. */
#define WHOLE \
    "local whole,last=true,0\n" \
    "local function look(id,n)\n" \
    "  if id~=none:sub(1,16) and redis.call('STRLEN',k..':'..id)~=32*tonumber(n,16) then whole=false end\n" \
    "end\n" \
    "if m then look(m:sub(5,20),m:sub(21,28)) look(m:sub(29,44),m:sub(45,52)) end\n" \
    "local e=redis.call('XREVRANGE',k..':log','+','-','COUNT',1)\n" \
    "if #e==0 then whole=false else last=tonumber(e[1][1]:match('^(%d+)-0$')) or 0 end\n"

/* What is damaged is gone for good. BEGIN, APPEND and PUBLISH can be said again: what was done already is answered the same way. */
#define GIVE_UP \
    "if m then redis.call('UNLINK',k,k..':'..m:sub(5,20),k..':'..m:sub(29,44)) end\n" \
    "return ''\n"

static const char look_script[] =
    KNOW
    "if not m then return '' end\n"
    WHO
    "if m:sub(53)~=who then return '' end\n"
    WHOLE
    "if not whole then " GIVE_UP "end\n"
    "if a:sub(1,16)~=none:sub(1,16) and redis.call('GET',k..':maker')==a:sub(1,16) then\n"
    "  redis.call('PEXPIRE',k..':maker',10000)\n"
    "end\n"
    "local upto,t=last,{}\n"
    "if #a>32 then\n"
    "  upto=tonumber(a:sub(33))\n"
    "  local l=redis.call('XRANGE',k..':log',string.format('%d-0',upto+1),'+','COUNT',512)\n"
    "  for i=1,#l do\n"
    "    upto=upto+1\n"
    "    if l[i][1]~=string.format('%d-0',upto) or #l[i][2][2]~=8 then upto=0 t={} break end\n"
    "    t[i]=l[i][2][2]\n"
    "  end\n"
    "  if upto>last or (#l==0 and upto<last) then upto=0 end\n"
    "end\n"
    "return m:sub(1,52)..struct.pack('<I8I8',last,upto)..table.concat(t)\n";

static const char insert_script[] =
    KNOW
    "local h=m and m:sub(1,52) or ''\n"
    "if h~=a:sub(1,52) then return h end\n"
    WHOLE
    "if not whole then " GIVE_UP "end\n"
    "for at=53,#a-71,72 do\n"
    "  for f=0,1 do\n"
    "    local id=h:sub(5+24*f,20+24*f)\n"
    "    if id~=none:sub(1,16) then\n"
    "      local t={}\n"
    "      for i=0,7 do\n"
    "        t[#t+1]='SET' t[#t+1]='u1'\n"
    "        t[#t+1]=string.format('%d',(struct.unpack('<I4',a,at+8+32*f+4*i)))\n"
    "        t[#t+1]='1'\n"
    "      end\n"
    "      redis.call('BITFIELD',k..':'..id,unpack(t))\n"
    "    end\n"
    "  end\n"
    "  last=last+1\n"
    "  redis.call('XADD',k..':log','MAXLEN','~','65536',string.format('%d-0',last),'h',a:sub(at,at+7))\n"
    "end\n"
    "return h\n";

static const char read_script[] =
    "local a=ARGV[1]\n"
    "local at,n=struct.unpack('<I4I4',a,17)\n"
    "return redis.call('GETRANGE',KEYS[1]..':'..a:sub(1,16),at,at+n-1)\n";

static const char begin_script[] =
    KNOW
    WHO
    WHOLE
    "if m and m:sub(29,44)==a:sub(1,16) then return m:sub(1,52) end\n"
    "if not redis.call('SET',k..':maker',a:sub(1,16),'NX','PX',10000) then return '' end\n"
    "local now=none\n"
    "if m and m:sub(53)==who and whole then\n"
    "  now=m:sub(5,28)\n"
    "elseif m then\n"
    "  redis.call('UNLINK',k..':'..m:sub(5,20))\n"
    "end\n"
    "if m then redis.call('UNLINK',k..':'..m:sub(29,44)) end\n"
    "redis.call('UNLINK',k..':scan')\n"
    "if last==0 then\n"
    "  redis.call('DEL',k..':log')\n"
    "  redis.call('XADD',k..':log','1-0','h','')\n"
    "end\n"
    "redis.call('SETRANGE',k..':'..a:sub(1,16),32*tonumber(a:sub(17,24),16)-1,'\\0')\n"
    "m='HBF1'..now..a:sub(1,24)\n"
    "redis.call('SET',k,m..who)\n"
    "return m\n";

static const char append_script[] =
    KNOW
    "if not m or m:sub(29,44)~=a:sub(1,16) then return '' end\n"
    "local has,at=redis.call('STRLEN',k..':scan'),(struct.unpack('<I4',a,17))\n"
    "if has==at+#a-20 then return '1' end\n"
    "if has~=at then return '' end\n"
    "redis.call('APPEND',k..':scan',a:sub(21))\n"
    "return '1'\n";

static const char publish_script[] =
    KNOW
    "if m and m:sub(5,20)==a:sub(1,16) then return m:sub(1,52) end\n"
    "if not m or m:sub(29,44)~=a:sub(1,16) then return '' end\n"
    WHO
    WHOLE
    "local next,scan=k..':'..a:sub(1,16),k..':scan'\n"
    "if m:sub(53)~=who or not whole or\n"
    "    redis.call('STRLEN',scan)~=redis.call('STRLEN',next) then return '' end\n"
    "redis.call('BITOP','OR',next,next,scan)\n"
    "redis.call('UNLINK',scan,k..':maker',k..':'..m:sub(5,20))\n"
    "m='HBF1'..m:sub(29,52)..none\n"
    "redis.call('SET',k,m..who)\n"
    "return m\n";

static const char abandon_script[] =
    KNOW
    "if redis.call('GET',k..':maker')==a:sub(1,16) then redis.call('DEL',k..':maker') end\n"
    "if m and m:sub(29,44)==a:sub(1,16) then\n"
    "  redis.call('UNLINK',k..':scan',k..':'..a:sub(1,16))\n"
    "  redis.call('SET',k,m:sub(1,28)..none..m:sub(53))\n"
    "end\n"
    "return ''\n";

static const char retire_script[] =
    KNOW
    "if not m or m:sub(5,20)~=a:sub(1,16) then return '' end\n"
    GIVE_UP;

/* clang-format on */

int32_t hearth__redis_say_filter(const hearth__remote_op *op, hearth__exchange *exchange) {
    static const char *const scripts[HEARTH__FILTER_STEPS] = {
        [HEARTH__FILTER_LOOK] = look_script,       [HEARTH__FILTER_INSERT] = insert_script,
        [HEARTH__FILTER_READ] = read_script,       [HEARTH__FILTER_BEGIN] = begin_script,
        [HEARTH__FILTER_APPEND] = append_script,   [HEARTH__FILTER_PUBLISH] = publish_script,
        [HEARTH__FILTER_ABANDON] = abandon_script, [HEARTH__FILTER_RETIRE] = retire_script,
    };
    hearth__redis_command command;
    hearth__redis_script(&command, scripts[op->filter], op);
    hearth__redis_word(&command, op->data, op->data_size);
    return hearth__redis_say(exchange, &command);
}
