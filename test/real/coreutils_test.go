package real

import (
	"testing"
	"time"

	"github.com/sysemu/sysemu/internal/compare"
)

func TestCoreutils(t *testing.T) {
	tree := map[string]string{
		"t/one": "1\n", "t/two": "22\n", "t/sub/three": "333\n", "t/sub/deep/four": "4444\n", "t/run*": "#!/bin/sh\necho ran $1\n",
	}
	compare.Table(t, []compare.Case{
		{Name: "ls", Script: `ls t; ls -la t | awk '{print $1,$2,$3,$4,$5,$9}' | grep -v total; ls -R t; ls -1F t; ls -i t | awk '{print $2, ($1>0)}'; ls -d /usr /etc`, Files: tree},
		{Name: "ls-times", Script: `ls -l --time-style=full-iso t/one; ls -lu --time-style=+%s t/two; stat -c '%y %X %h %F %A %s %U:%G' t/one t/sub | sed 's/ 17[0-9]* / ATIME /'`, Files: tree},
		{Name: "ls-dev", Script: `ls -l /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty | awk '{print $1,$3,$5,$6,$NF}'; ls -ld /dev/shm /dev/pts /dev/fd | awk '{print $1,$NF}'`},
		{Name: "stat", Script: `stat -c '%n %f %a %A %F %s %h %B %o %u %g %U %G' t/one t/sub t/run /dev/null; stat -L -c %F /dev/stdin; stat /nonexistent; ln -s one t/l; stat -c '%N %F' t/l; [ "$(stat -c %d t/one)" = "$(stat -c %d t/two)" ] && echo one device`, Files: tree},
		{Name: "stat-filesystem", Script: `stat -f -c '%l' . ; stat -f -c %T /proc /dev/shm; df -P . | wc -l; df / | wc -l`},
		{Name: "cat", Script: `cat t/one - t/two; cat -A t/run; cat -n t/sub/three; cat t; echo $?; cat < t; echo $?`, Files: tree, Stdin: "in\n"},
		{Name: "cp", Script: `cp t/one a; cp -r t u; cp -a t v; find u v | sort; cmp t/one a && echo same; cp t/one nope/x; echo $?; cp t x; echo $?; cp -l t/one hard; stat -c %h t/one; cp -s "$PWD/t/one" soft; readlink soft | sed "s:$PWD::"; cp --reflink=auto t/two r; cat r; cp -n t/one r; cat r; cp -u t/one r; cat r; cp --sparse=always t/one s; cat s`, Files: tree},
		{Name: "cp-attributes", Script: `touch -d 2001-02-03T04:05:06.789 t/one; chmod 751 t/one; cp -p t/one k; stat -c '%a %y' k; cp -a t w; stat -c '%n %a %Y' w w/one; cp -dR t/sub z; ls z`, Files: tree},
		{Name: "mv", Script: `mv t/one t/uno; ls t; mv t/uno t/sub; ls t/sub; mv t/sub moved; ls moved; mv t/two t/run; cat t/run; mv t moved/t; find moved | sort; mv nope x; echo $?; mkdir full; touch full/f; mkdir d; mv -T d full; echo $?; mv -n moved/three full/f; mv moved moved/in; echo $?`, Files: tree},
		{Name: "ln", Script: `ln t/one h; ln -s t/two s; ln -s nowhere dangling; ln t/sub d; echo $?; stat -c '%h %N' h s dangling; cat s; cat dangling; echo $?; ln -sf t/one s; cat s; ln -sr t/two rel; readlink rel; readlink -f rel | sed "s:$PWD::"; ln -s loop loop; cat loop; echo $?; realpath --relative-to=. t/sub/../one; ln one t/one; echo $?`, Files: tree},
		{Name: "rm", Script: `rm t/one; rm t; echo $?; rm -r t/sub; rmdir t; echo $?; rm -rf t; ls; rm nope; echo $?; rm -f nope; echo $?; touch -- -x; rm -- -x; mkdir -p a/b/c; rmdir -p a/b/c; ls -A`, Files: tree},
		{Name: "rm-read-only", Script: `chmod -w t/one; rm -f t/one; echo $?; chmod 555 t/sub; rm -rf t/sub; echo $?; ls t`, Files: tree},
		{Name: "mkdir", Script: `mkdir a a/b; mkdir -m 700 c; mkdir a; echo $?; mkdir x/y; echo $?; mkdir -pv p/q/r; stat -c '%n %a %h' a c p; mkdir -m 1777 tmp; stat -c %A tmp`},
		{Name: "chmod", Script: `touch f; for m in 000 644 755 4755 2755 1777 u+x g-w o=r a+X u=rwx,go=; do chmod $m f; stat -c '%a %A' f; done; chmod -R u+x t; stat -c '%n %a' t/one t/sub; chmod 644 nope; echo $?; chmod --reference=t/one f; stat -c %a f`, Files: tree},
		{Name: "chown", Script: `touch f; chown 1000:1001 f; stat -c '%u %g' f; chown root f; chgrp 5 f; stat -c '%u %g' f; chmod 6755 f; chown 12 f; stat -c %a f; ln -s f l; chown -h 7:8 l; stat -c '%u %g' l f`},
		{Name: "touch", Script: `touch a; touch -d 2020-01-02T03:04:05.123456789Z a; stat -c '%x %y' a; touch -a -d @5 a; touch -m -d @6 a; stat -c '%X %Y' a; touch -r a b; stat -c '%X %Y' b; touch -c nope; ls; touch nope/x; echo $?; touch -d @-100 old; stat -c %Y old; touch -h -d @9 a`},
		{Name: "dd", Script: `dd if=/dev/zero of=f bs=1k count=10 status=none; stat -c %s f; echo abcdefghij | dd bs=1 skip=2 count=3 status=none; echo; dd if=/dev/zero of=f bs=1 seek=20000 count=0 status=none; stat -c %s f; printf XX | dd of=f conv=notrunc bs=1 seek=5 status=none; od -c f | head -2; dd if=/dev/zero bs=512 count=1000 status=none | md5sum; dd if=f of=g conv=sparse status=none; cmp f g && echo same; dd if=nope; echo $?; dd if=f bs=1k count=3 2>&1 >/dev/null | head -2`},
		{Name: "dd-direct-and-flags", Script: `dd if=/dev/zero of=f bs=4096 count=2 oflag=append conv=notrunc status=none; dd if=/dev/zero of=f bs=4096 count=1 oflag=append conv=notrunc status=none; stat -c %s f; dd if=f of=/dev/null iflag=fullblock bs=5000 status=none; echo $?; dd if=/dev/zero of=f bs=10 count=1 conv=excl status=none; echo $?; dd of=n conv=nocreat status=none </dev/null; echo $?; dd if=/dev/zero of=s bs=1 count=1 conv=fsync status=none; echo $?`},
		{Name: "truncate", Script: `truncate -s 100 f; stat -c %s f; truncate -s +50 f; truncate -s -10 f; stat -c %s f; truncate -s 1G big; stat -c '%s %b' big; du -k big; truncate -s '<10' f; stat -c %s f; truncate -s 5 nope/x; echo $?; truncate -s 100 /dev/null; echo $?`},
		{Name: "sparse", Script: `dd if=/dev/zero of=s bs=1 count=1 seek=1M status=none; stat -c %s s; od -An -tx1 -j 1048570 s; cp s c; cmp s c && echo same; echo x >> s; tail -c 3 s | od -c`},
		{Name: "sort", Script: `printf '3 c\n1 a\n2 b\n10 d\n' > f; sort f; sort -n f; sort -k2 -r f; sort -u f f; sort -c f; echo $?; seq 5000 | shuf --random-source=/usr/bin/ls | sort -n | md5sum; seq 20000 | sort -S 100k -r | head -2; sort -o f -n f; head -1 f; LC_ALL=C sort -f <<< $'b\nA\nc'; sort --parallel=2 f | tail -1; sort nope; echo $?`},
		{Name: "text", Script: `seq 10 | head -3; seq 10 | tail -3; seq 10 | tail -n +8; seq 10 | head -n -7; printf 'a,b,c\n' | cut -d, -f2; printf 'a b\nc d\n' | tr 'a-d' 'A-D'; seq 4 | paste -sd+ ; seq 6 | paste - - -; printf 'a\na\nb\n' | uniq -c; printf 'x y\n' > j1; printf 'x z\n' > j2; join j1 j2; comm <(seq 3) <(seq 2 4); seq 3 | nl; echo 'a b  c' | wc; fold -w 5 <<< 'abcdefghijkl'; fmt -w 20 <<< 'some words that are wrapped at twenty'; rev <<< abc; tac <(seq 3); expand <<< $'a\tb'; seq 5 | sed -n '2,3p'; od -An -c <<< hi; base64 <<< hello | tee /dev/stderr | base64 -d; seq 3 | xargs echo; csplit -s -f part <(seq 10) 4 8; cat part01; split -l 4 -d <(seq 10) s; cat s02; factor 360; numfmt --to=iec 123456`},
		{Name: "checksums", Script: `seq 1000 > f; md5sum f; sha1sum f; sha256sum f; sha512sum f; b2sum f; cksum f; sum f; sha256sum f > s; sha256sum -c s`},
		{Name: "tail-follow", Script: `seq 3 > f; timeout 1 tail -f f & sleep 0.3; echo more >> f; wait $!; echo $?`},
		{Name: "tail-follow-pid", Script: `seq 3 > f; (sleep 0.5; echo last >> f) & tail -f --pid=$! -s 0.1 f; echo $?`},
		{Name: "tee", Script: `seq 3 | tee a b; cat a b; echo x | tee -a a | cat; cat a; seq 1000 | tee >(tail -1 > h) | tail -1; sleep 0.2; cat h; seq 3 | tee /nonexistent/x; echo $?; seq 100000 | tee -p /dev/full 2>&1 | head -1`},
		{Name: "full-device", Script: `echo x > /dev/full; echo $?; cat /etc/passwd > /dev/full; echo $?; dd if=/dev/full bs=4 count=1 status=none | od -c; head -c 5 /dev/zero | od -c; echo x > /dev/null; echo $?; head -c 16 /dev/urandom | wc -c; head -c 16 /dev/random | wc -c`},
		{Name: "mkfifo", Script: `mkfifo p; stat -c %F p; (echo through > p) & cat p; wait; (cat p > out) & exec 3> p; echo a >&3; echo b >&3; exec 3>&-; wait; cat out; mkfifo p; echo $?; mknod q p; test -p q; echo $?; timeout 0.2 cat p; echo $?`},
		{Name: "mknod", Script: `mknod n c 1 3; stat -c '%F %t %T' n; echo x > n; echo $?; mkdir m; mknod m b 1 3; echo $?`},
		{Name: "flock", Script: `exec 9> lock; flock 9; flock -n lock echo got; echo $?; (flock -u 9); flock -n lock echo got it; exec 9>&-; flock lock bash -c 'flock -n lock true; echo inner $?'; flock -s lock flock -s -n lock echo shared; flock -w 0.2 lock echo ok; (flock -x 8; sleep 0.4) 8> lock2 & sleep 0.1; flock -w 0.1 lock2 true; echo $?; flock lock2 echo finally`},
		{Name: "mktemp", Script: `f=$(mktemp); test -f $f; echo $?; stat -c %a $f; rm $f; d=$(mktemp -d ./x.XXXXXX); stat -c '%F %a' $d; mktemp -u | wc -c; mktemp --suffix=.c ./aXXX | wc -c; mktemp nope/XXXX 2>&1 | sed 's/X*.’/’/' | cut -c1-30`},
		{Name: "date", Script: `date -d @0; date -u -d '2024-02-29 +1 year' +%F; TZ=Europe/Prague date -d @1700000000 '+%c %Z %z'; TZ=America/New_York date -d @1720000000 +%T%Z; date -d 'not a date'; echo $?; date +%Y | grep -c '^20[2-9]'; a=$(date +%s%N); b=$(date +%s%N); ((b >= a)) && echo forward; date -r /etc/passwd +%Y | wc -c`},
		{Name: "id", Script: `id; id -u; id -gn; id -Gn; whoami; groups; logname 2>/dev/null | wc -l; id nobody; id nosuchuser; echo $?`},
		{Name: "env", Script: `env -i A=b env; env -u HOME bash -c 'echo ${HOME-unset}'; env -C / pwd; env nope; echo $?; env -S 'bash -c "echo split"'; env --default-signal=TERM bash -c 'kill $$'; echo $?`, Masks: []compare.Mask{pidMask}},
		{Name: "timeout", Script: `timeout 0.2 sleep 5; echo $?; timeout 5 true; echo $?; timeout -s KILL 0.2 sleep 5; echo $?; timeout --preserve-status 0.2 sleep 5; echo $?; timeout -k 0.2 0.2 bash -c 'trap "" TERM; sleep 3; sleep 3'; echo $?; timeout 1 nope; echo $?; timeout 0.3 bash -c 'trap "exit 9" TERM; sleep 5 & wait'; echo $?`, Masks: []compare.Mask{pidMask}},
		{Name: "nohup", Script: `nohup bash -c 'kill -HUP $$; echo survived' 2>/dev/null; nohup true; echo $?; nohup nope; echo $?`},
		{Name: "nice", Script: `nice; nice -n 5 nice; nice -n 30 nice; nice -n 5 nice -n -3 nice; renice -n 3 -p $$ | sed 's/^[0-9]*/PID/'; nice`},
		{Name: "setsid", Script: `setsid bash -c '[ $(ps -o sid= -p $$) -eq $$ ] && echo leader'; setsid -w bash -c 'exit 5'; echo $?; setsid setsid true; echo $?; ps -o tty= -p $$ | tr -d ' '`, Need: []string{"ps"}},
		{Name: "chroot", Script: `mkdir -p r/bin; cp /bin/busybox r/bin; chroot r /bin/busybox sh -c 'pwd; echo /*; /bin/busybox ls -la / | wc -l; cd ..; pwd'; chroot r /nope; echo $?; chroot /nope; echo $?`, Need: []string{"busybox"}},
		{Name: "uname", Script: `uname; uname -m; uname -o; uname -p; uname -i; arch; uname -r | grep -cE '^[0-9]+\.[0-9]+'; nproc | grep -c '^[0-9]'`},
		{Name: "hostname", Script: `[ "$(hostname)" = "$(uname -n)" ] && echo same; [ "$(cat /proc/sys/kernel/hostname)" = "$(uname -n)" ] && echo same`},
		{Name: "stdbuf", Script: `stdbuf -o0 echo a; stdbuf -oL seq 3; (for i in 1 2 3; do echo $i; done) | stdbuf -i0 cat`},
		{Name: "yes-and-head", Script: `yes abc | head -n 100000 | md5sum; yes | head -c 1000000 | wc -c; echo ${PIPESTATUS[@]}`},
		{Name: "sleep", Script: `sleep 0.05; echo $?; sleep x; echo $?; sleep 0.02 0.02; time -p true 2>/dev/null; sleep infinity & kill $!; wait $!; echo $?`, Masks: []compare.Mask{pidMask}},
		{Name: "grep", Script: `grep -rn 3 t | sort; grep -c . t/one; grep -q nope t/one; echo $?; grep x t; echo $?; grep -E '^(a|b)+$' <<< abba; grep -P '\d{3}' t/sub/three; grep -rl 4 t; zgrep -c 1 t/one; grep root /etc/passwd; grep x nope; echo $?`, Files: tree},
		{Name: "sed", Script: `seq 5 | sed -e 's/3/three/' -e '2d' -e '$a end'; cp t/two f; sed -i.bak 's/2/x/g' f; cat f f.bak; sed -n '/3/{p;q}' <(seq 10); sed -i 1d nope; echo $?; sed 's/(/' ; echo $?`, Files: tree},
		{Name: "awk", Script: `seq 10 | awk '{s+=$1} END {print s, NR}'; awk -F: '$3==0 {print $1}' /etc/passwd; awk 'BEGIN { while (("seq 3" | getline l) > 0) print "got", l; print "x" | "cat"; close("cat"); r = system("exit 3"); print r; printf "%.3f\n", atan2(0,-1) }'; awk 'BEGIN { print ENVIRON["LANG"]; print > "/dev/stderr"; exit 4 }' < /dev/null; echo $?`},
		{Name: "xargs", Script: `seq 10 | xargs -n 3 echo; seq 6 | xargs -P 3 -I{} sh -c 'echo {}' | sort; printf 'a b\0c\0' | xargs -0 -n1 echo; echo | xargs -r echo never; seq 3 | xargs -n1 sh -c 'exit $0'; echo $?; seq 3 | xargs -n1 sh -c 'exit 255'; echo $?; echo x | xargs nope; echo $?; seq 20000 | xargs echo | wc -l; seq 4 | xargs -t -n2 echo 2>&1; seq 30 | xargs -P 8 -n 1 sh -c 'sleep 0.0$((RANDOM%9)); echo $0' | sort -n | tr '\n' ' '`},
		{Name: "find", Script: `find t | sort; find t -type f -size -4c | sort; find t -name 't*' -exec echo found {} \; | sort; find t -type f -exec cat {} + | sort; find t -perm -100 -type f; find t -newer /etc/hostname -type f | wc -l; find t -maxdepth 1 -mindepth 1 -printf '%f %y %m %s %d\n' | sort; find t -empty; find t -name deep -prune -o -print | sort; find t -type f -delete; find t | sort; find nope; echo $?; find . -inum $(stat -c %i t); find . -samefile t; find . -name '*.none' -o -quit`, Files: tree},
		{Name: "find-execdir", Script: `find t -name three -execdir pwd \; | sed "s:$HOME::"; find t -type f -ok true \; </dev/null 2>&1 | wc -l; find t -type f -print0 | sort -z | xargs -0 wc -c; find t -links 1 -type f | wc -l; find t -mmin -60 | wc -l; find t -mtime +30 -type f | wc -l; find t -user root -type d | wc -l; find t -regex '.*/[a-z]*e' | sort`, Files: tree},
		{Name: "du", Script: `du -sb t; du -ab t | sort -k2; du --apparent-size -s t`, Files: tree},
		{Name: "xattr", Script: `touch f; setfattr -n user.a -v 1 f; getfattr -d f; setfattr -x user.a f; getfattr -d f; cp --preserve=xattr f g; echo $?`, Need: []string{"setfattr"}},
		{Name: "sync", Script: `echo a > f; sync; sync f; sync -d f; sync -f f; echo $?; sync nope; echo $?`},
		{Name: "install", Script: `install -m 640 t/one i; stat -c %a i; install -d -m 700 d/e; stat -c %a d/e; install -D t/two x/y/z; cat x/y/z; install -o 3 -g 4 t/one o; stat -c '%u %g' o; install -b t/two i; ls i*`, Files: tree},
		{Name: "paths", Script: `realpath t/../t/one | sed "s:$HOME::"; basename /a/b.c .c; dirname /a/b; readlink -e nope; echo $?; readlink -m /x/../y; pathchk -p 'a b'; echo $?; mkdir -p $(printf 'd/%.0s' $(seq 100)); find d | wc -l; touch $(printf 'n%.0s' $(seq 255)); echo $?; touch $(printf 'n%.0s' $(seq 256)); echo $?`, Files: tree,
			Masks: []compare.Mask{{Pattern: `n{200,}`, Replace: "n…", Why: "only to keep the report short"}}},
		{Name: "proc", Script: `cat /proc/self/comm; tr '\0' ' ' < /proc/self/cmdline; echo; readlink /proc/self/cwd | sed "s:$HOME:~:"; readlink /proc/self/exe /proc/self/root; grep -E '^(Name|State|Threads|Uid|Gid)' /proc/self/status; tr '\0' '\n' < /proc/self/environ | grep LANG; ls /proc/self/fd; cat /proc/self/oom_score_adj; head -c 100 /proc/self/stat | awk '{print $2,$3}'; ls /proc/self/task | wc -l; [ -d /proc/$$ ] && echo mine; wc -l < /proc/self/limits; grep -c . /proc/filesystems | grep -cv '^0'; ls -ld /proc/1 | cut -c1; cat /proc/nope; ls /proc/self/ns >/dev/null; echo $?; awk '{print NF}' /proc/self/stat /proc/loadavg /proc/uptime; cat /proc/self/wchan >/dev/null; echo $?`},
		{Name: "proc-sys", Script: `cat /proc/sys/kernel/ostype /proc/sys/kernel/pid_max | sed 's/^[0-9]*$/NUMBER/'; for f in kernel/osrelease kernel/version kernel/hostname kernel/random/boot_id kernel/random/uuid kernel/cap_last_cap kernel/threads-max fs/file-max fs/nr_open fs/pipe-max-size vm/overcommit_memory vm/max_map_count vm/mmap_min_addr; do test -s /proc/sys/$f || [ -n "$(cat /proc/sys/$f)" ]; echo $f $?; done`},
		{Name: "proc-system", Script: `grep -cE '^(MemTotal|MemFree|MemAvailable|SwapTotal|Cached):' /proc/meminfo; grep -c ^processor /proc/cpuinfo | grep -c '[1-9]'; grep -m1 -oE '^flags' /proc/cpuinfo; head -1 /proc/stat | cut -d' ' -f1; free | wc -l; uptime | grep -c load; grep -c . /proc/self/mounts | grep -cv ^0; grep -m1 ' / ' /proc/mounts | cut -d' ' -f2; awk '$5=="/"{print $5}' /proc/self/mountinfo | head -1`},
		{Name: "ps", Script: `ps -o comm= -p $$; ps -o ppid= -p $(bash -c 'echo $$; exec sleep 0.2 >/dev/null & echo >&2' 2>/dev/null | head -1) | wc -l; sleep 5 & ps -o stat=,comm= -p $! | tr -s ' '; kill $!; ps aux > /dev/null; echo $?; ps -eo pid= | wc -l | grep -c '[1-9]'; pgrep -c nosuchprogramx; pidof nosuchx; echo $?`, Need: []string{"ps"}, Masks: []compare.Mask{pidMask}},
		{Name: "who-tty", Script: `tty; echo $?; stty; echo $?; test -t 0; echo $?`},
		{Name: "getconf", Script: `getconf PAGESIZE ARG_MAX; getconf OPEN_MAX; getconf CLK_TCK; getconf LONG_BIT; getconf NAME_MAX .; getconf PIPE_BUF .; getconf GNU_LIBC_VERSION`},
		{Name: "shuf-seq", Script: `shuf -i 1-100 | sort -n | md5sum; shuf -n 3 -e a b c | sort; seq -w 8 11; seq 1 0.5 3; seq 3 -1 1`},
		{Name: "dir-many-files", Script: `mkdir m; cd m; seq 1 3000 | xargs touch; ls | wc -l; ls | sort -n | tail -1; find . -name '*7' | wc -l; rm -f *1; ls -f | wc -l; cd ..; rm -r m; ls`, Timeout: 2 * time.Minute},
		{Name: "watch-pipes", Script: `mkfifo a b; cat a > b & tr a-z A-Z < b > out & seq 3 | sed s/^/line/ > a; wait; cat out`},
		{Name: "logger-less", Script: `tput -T xterm cols; tput -T xterm bold | od -c; clear -x 2>/dev/null | wc -c; infocmp xterm | wc -l`, Need: []string{"tput"}},
		{Name: "patch", Script: `seq 10 > a; seq 10 | sed s/5/five/ > b; diff -u a b | sed 's/\t.*//' > p; cat p; patch -s a < p; cmp a b; echo $?; patch -R a < p; diff a b; echo $?; diff -r t t; echo $?`, Files: tree, Need: []string{"patch"}},
		{Name: "bc", Script: `echo '2^200; scale=20; 1/7' | bc`, Need: []string{"bc"}},
	})
}

func TestFind(t *testing.T) {
	compare.Table(t, []compare.Case{
		{Name: "usr", Script: `find /usr -xdev | sort > list; wc -l < list; md5sum < list`, Timeout: 3 * time.Minute},
		{Name: "usr-attributes", Script: `find /usr -xdev -printf '%p %y %m %s %n %u %g %T@ %l\n' | sort | md5sum`, Timeout: 3 * time.Minute},
		// Without what changes while the test runs.
		{Name: "root", Script: `find / -xdev \( -path /usr -o -path /tmp -o -path /var -o -path /root -o -path /home -o -path /run -o -path /mnt -o -path /work -o -path /opt \) -prune -o -print 2>/dev/null | LC_ALL=C sort | md5sum`, Timeout: 2 * time.Minute},
		{Name: "etc", Script: `find /etc -xdev -type f -size -64k -exec md5sum {} + 2>/dev/null | sort -k2 | grep -v -e /etc/mtab -e resolv.conf | md5sum; ls -laR /etc/default /etc/init.d`},
		{Name: "grep-recursive", Script: `grep -rIl include /usr/include --include='*.h' | sort | md5sum; grep -r 'PTRACE_SYSEMU' /usr/include | sort`, Timeout: 2 * time.Minute},
	})
}

func TestArchives(t *testing.T) {
	compare.Table(t, []compare.Case{
		{Name: "tar", Script: `tar cf a.tar -C /usr/include linux/netfilter asm-generic; tar tvf a.tar | md5sum; mkdir x; tar xf a.tar -C x; diff -r x/asm-generic /usr/include/asm-generic && echo same; tar df a.tar -C /usr/include; echo $?; md5sum < a.tar`},
		{Name: "tar-gzip", Script: `tar czf a.tgz -C /usr/include linux; tar tzf a.tgz | wc -l; mkdir x; tar xzf a.tgz -C x; diff -r x/linux /usr/include/linux && echo same`},
		{Name: "tar-attributes", Script: `mkdir d; touch -d @100 d/f; chmod 4711 d/f; ln d/f d/h; ln -s f d/s; mkfifo d/p; tar cf a.tar --sort=name d; rm -r d; tar xpf a.tar; stat -c '%n %a %h %F' d/*; stat -c %Y d/f; tar tvf a.tar | awk '{print $1,$2,$6,$7,$8,$9,$10}'; tar xf nope.tar; echo $?; head -c 700 a.tar | tar tf - ; echo $?`},
		{Name: "tar-sparse", Script: `truncate -s 10M s; echo x >> s; tar cSf a.tar s; stat -c %s a.tar | grep -c '^[0-9]\{4,6\}$'; rm s; tar xf a.tar; stat -c %s s`},
		{Name: "tar-pipe", Script: `tar cf - -C /usr/include linux | (mkdir x; cd x; tar xf -); diff -r x/linux /usr/include/linux; echo $?`},
		{Name: "gzip", Script: `cp /usr/bin/ls f; gzip -k f; gzip -l f.gz | tail -1; zcat f.gz | cmp - f && echo same; gzip -d < f.gz | md5sum; gunzip nope; echo $?; gzip -t f.gz; echo $?; echo junk > j.gz; gzip -d j.gz; echo $?`},
		{Name: "xz", Script: `seq 200000 > f; xz -k -1 f; xz -dc f.xz | cmp - f && echo same; xz -k -T2 --block-size=256KiB -c f | xz -d | md5sum; xz -l f.xz | tail -1; xz -t f.xz; echo $?; tar cJf a.txz f; tar tJf a.txz`, Need: []string{"xz"}},
		{Name: "bzip2", Script: `seq 50000 | bzip2 | bunzip2 | md5sum`, Need: []string{"bzip2"}},
		{Name: "cpio", Script: `cd /usr/include/linux; find . -name 'a*' | sort | cpio -o 2>/dev/null | cpio -t 2>/dev/null | md5sum`, Need: []string{"cpio"}},
	})
}
