package real

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sysemu/sysemu/internal/compare"
)

// gitEnv fixes everything a commit's name is made of.
var gitEnv = []string{
	"GIT_AUTHOR_NAME=A U Thor", "GIT_AUTHOR_EMAIL=author@example.com", "GIT_AUTHOR_DATE=2024-01-02T03:04:05Z",
	"GIT_COMMITTER_NAME=C O Mitter", "GIT_COMMITTER_EMAIL=committer@example.com", "GIT_COMMITTER_DATE=2024-01-02T03:04:05Z",
	"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_PAGER=cat",
}

func TestGit(t *testing.T) {
	start := `git init -q -b main r && cd r && echo one > a && mkdir d && echo two > d/b && git add . && git commit -q -m first && `
	cases := []compare.Case{
		{Name: "init-add-commit-log", Script: `git init -b main r; cd r; echo one > a; mkdir d; echo two > d/b; git status --short; git add .; git status; git commit -m first; echo more >> a; git diff; git commit -am second; git log; git log --oneline --stat; git show HEAD~1:a; ls -A; cat .git/HEAD; git rev-parse HEAD`},
		{Name: "clone", Script: start + `cd ..; git clone r c; cd c; git log --oneline; cat d/b; git remote -v | sed "s:$HOME::"; echo x > n; git add n; git commit -q -m third; git push -q origin main:other; cd ../r; git branch -a; git log --oneline other; cd ..; git clone -q --bare r b.git; git -C b.git log --oneline; git clone -q --no-hardlinks --depth 1 "file://$PWD/r" s; git -C s log --oneline`},
		{Name: "branches-and-merge", Script: start + `git checkout -b side; echo s > s; git add s; git commit -q -m side; git checkout main; echo m >> a; git commit -q -am main; git merge -m merge side; git log --graph --oneline; git checkout -q -b c1; echo 1 > a; git commit -q -am c1; git checkout -q main; echo 2 > a; git commit -q -am c2; git merge c1; echo $?; git status --short; git diff; git merge --abort; git stash list; echo w >> a; git stash; git stash pop; git rebase c1; echo $?; git rebase --abort 2>/dev/null; git status --short`},
		{Name: "plumbing", Script: start + `git fsck; git gc -q; git count-objects -v | grep -v size; find .git/objects -type f | sed 's/.*\.//' | sort; git cat-file -p HEAD; git ls-tree -r HEAD; git repack -a -d -q; git rev-list --all --objects; git archive HEAD | tar t; git tag v1; git describe; git blame a; git grep two; git mv a z; git rm -q d/b; git status --short; git reset -q --hard; git clean -fdn; git config user.x y; git config user.x; git bundle create -q ../b HEAD main; git clone -q ../b ../fromb; git -C ../fromb log --oneline`},
		{Name: "hooks-and-errors", Script: start + `printf '#!/bin/sh\necho hook ran\nexit 1\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit; echo z > z; git add z; git commit -m no; echo $?; cd /; git status; echo $?; git clone /nonexistent "$HOME/q"; echo $?; git nope; echo $?; git -C "$HOME/r" log nope; echo $?`, Masks: []compare.Mask{{Pattern: `(?s)\(or any of.*`, Replace: "", Why: "says which file system boundary stopped it"}}},
		{Name: "many-files", Script: `git init -q -b main r; cd r; for i in $(seq 1 300); do echo "file $i" > f$i; done; git add .; git commit -q -m many; git log --stat | tail -1; for i in $(seq 1 50); do echo "changed" >> f$i; done; git status --short | wc -l; git diff --stat | tail -1; git commit -q -am change; git rev-parse HEAD`},
	}
	for i := range cases {
		cases[i].Env, cases[i].Need, cases[i].Timeout = gitEnv, []string{"git"}, 2*time.Minute
	}
	compare.Table(t, cases)
}

const helloC = `#include <stdio.h>
#include <math.h>
#include <stdlib.h>
int main(int argc, char **argv) { printf("hello from C %d %.3f\n", argc, sqrt(argc + 1)); return argc; }
`

func TestCompilers(t *testing.T) {
	slow := 2 * time.Minute
	compare.Table(t, []compare.Case{
		{Name: "gcc", Script: `gcc -Wall -O2 -o h h.c -lm && ./h a b; echo $?; gcc -c h.c && md5sum h.o; gcc -S -o - h.c | head -20; gcc -E h.c | tail -3; file h 2>/dev/null | cut -c1-20; nm h | grep main; strip h; ./h; ar rc l.a h.o; ar t l.a; objdump -d h.o | tail -3; size h.o`, Files: map[string]string{"h.c": helloC}, Need: []string{"gcc"}, Timeout: slow},
		{Name: "gcc-static", Script: `gcc -static -o h h.c -lm && ./h; echo $?; ldd h; echo $?`, Files: map[string]string{"h.c": helloC}, Need: []string{"gcc"}, Timeout: slow},
		{Name: "gcc-errors", Script: `gcc e.c; echo $?; gcc nope.c; echo $?; echo 'int main() { return f(); }' > u.c; gcc u.c; echo $?; gcc -fsyntax-only -x c - <<< 'int x = ;'; echo $?`, Files: map[string]string{"e.c": "int main() { return x }\n"}, Need: []string{"gcc"}, Timeout: slow,
			Masks: []compare.Mask{{Pattern: `/tmp/cc\w+\.o`, Replace: "/tmp/ccXXXXXX.o", Why: "a random name"}}},
		{Name: "gcc-shared-and-dlopen", Script: `gcc -shared -fPIC -o libx.so x.c && gcc -o m m.c -L. -lx -Wl,-rpath,'$ORIGIN' && ./m; gcc -o d d.c -ldl && ./d; LD_PRELOAD=./libx.so /bin/true; echo $?; ldd ./m | grep -c libx`, Files: map[string]string{
			"x.c": "int x(void) { return 42; }\n", "m.c": "#include <stdio.h>\nint x(void);\nint main() { printf(\"%d\\n\", x()); }\n",
			"d.c": "#include <dlfcn.h>\n#include <stdio.h>\nint main() { void *h = dlopen(\"./libx.so\", RTLD_NOW); int (*f)(void) = dlsym(h, \"x\"); printf(\"%d %d\\n\", f(), dlsym(h, \"nope\") == NULL); return dlclose(h); }\n",
		}, Need: []string{"gcc"}, Timeout: slow},
		{Name: "gcc-pipe-lto", Script: `gcc -pipe -flto -O2 -o h h.c -lm && ./h x; echo $?; gcc -g -fsanitize=undefined -o u h.c -lm && ./u; echo $?`, Files: map[string]string{"h.c": helloC}, Need: []string{"gcc"}, Timeout: slow},
		{Name: "g++", Script: `g++ -O1 -std=c++17 -o p p.cc -pthread && ./p; echo $?`, Files: map[string]string{"p.cc": `#include <iostream>
#include <map>
#include <string>
#include <thread>
#include <vector>
#include <atomic>
#include <stdexcept>
#include <fstream>
int main() {
  std::map<std::string, int> m{{"a", 1}, {"b", 2}};
  for (auto &[k, v] : m) std::cout << k << v << "\n";
  std::atomic<int> n{0}; std::vector<std::thread> ts;
  for (int i = 0; i < 4; i++) ts.emplace_back([&] { for (int j = 0; j < 1000; j++) n++; });
  for (auto &t : ts) t.join();
  std::cout << n << std::endl;
  try { throw std::runtime_error("thrown"); } catch (std::exception &e) { std::cout << e.what() << std::endl; }
  std::ofstream("out") << "file"; std::string s; std::ifstream("out") >> s; std::cout << s << std::endl;
  thread_local int tl = 3; return tl;
}
`}, Need: []string{"g++"}, Timeout: slow},
		{Name: "make", Script: `make -j2; echo $?; make; touch b.c; make -j2 | sort; ./prog; make clean; ls; make nope; echo $?; make -n | head -2; make fail; echo $?; make -j2 par | sort; make sub`, Files: map[string]string{
			"Makefile": "OBJS = a.o b.o c.o d.o\nprog: $(OBJS)\n\t@gcc -o $@ $(OBJS) && echo linked\n%.o: %.c\n\t@gcc -c $< -o $@\nclean:\n\trm -f prog $(OBJS)\nfail:\n\t@echo before; exit 3\npar: p1 p2 p3\np1 p2 p3:\n\t@sleep 0.1; echo $@\nsub:\n\t$(MAKE) -C s\n.PHONY: clean fail par p1 p2 p3 sub\n",
			"a.c":      "int b(void), c(void), d(void);\n#include <stdio.h>\nint main() { printf(\"%d\\n\", b() + c() + d()); }\n",
			"b.c":      "int b(void) { return 1; }\n", "c.c": "int c(void) { return 20; }\n", "d.c": "int d(void) { return 300; }\n",
			"s/Makefile": "all:\n\t@echo in $(notdir $(CURDIR)) level $(MAKELEVEL)\n",
		}, Need: []string{"make", "gcc"}, Timeout: slow, Masks: []compare.Mask{{Pattern: `'/[^']*/work`, Replace: "'WORK", Why: "only to keep the report short"}}},
		{Name: "faults", Script: `gcc -g -o c c.c && (ulimit -c 0; ./c; echo $?; ./c 1; echo $?; ./c 1 2; echo $?)`, Files: map[string]string{"c.c": "#include <stdlib.h>\n#include <stdio.h>\nint main(int n, char **v) { puts(\"about to\"); fflush(stdout); if (n == 1) *(volatile int *)8 = 1; if (n == 2) abort(); volatile int z = n - 3; return 10 / z; }\n"}, Need: []string{"gcc"}, Timeout: slow, Masks: []compare.Mask{pidMask}},
	})
}

// goEnv keeps the go command off the network. The build cache is the user's own: the standard library is in it, so that
// what runs inside is one build and not that of the whole library.
func goEnv(t *testing.T) []string {
	compare.Enabled(t)
	bin, err := exec.LookPath("go")
	if err != nil {
		t.Skip("go is not in PATH")
	}
	bin, err = filepath.EvalSymlinks(bin)
	if err != nil {
		t.Fatal(err)
	}
	cache, err := exec.Command(bin, "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	env := []string{
		"PATH=" + filepath.Dir(bin) + ":/usr/bin:/bin", "GOCACHE=" + strings.TrimSpace(string(cache)), "GOPATH=" + t.TempDir(),
		"GOFLAGS=-mod=mod", "GOPROXY=off", "GOTOOLCHAIN=local", "CGO_ENABLED=0", "GOENV=off",
	}
	warm := exec.Command(bin, "build", "fmt", "os/exec", "os/signal", "testing", "testing/internal/testdeps")
	warm.Env = append(env, "HOME="+t.TempDir())
	if out, err := warm.CombinedOutput(); err != nil {
		t.Fatalf("building the standard library: %v\n%s", err, out)
	}
	return env
}

func TestGo(t *testing.T) {
	env := goEnv(t)
	files := map[string]string{
		"go.mod": "module example.com/hello\n\ngo 1.21\n",
		"main.go": `package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"example.com/hello/sum"
)

func main() {
	var wg sync.WaitGroup
	ch := make(chan int)
	for i := range []int{0, 1, 2, 3} {
		wg.Add(1)
		go func(i int) { defer wg.Done(); ch <- sum.To(i * 1000) }(i)
	}
	go func() { wg.Wait(); close(ch) }()
	total := 0
	for v := range ch {
		total += v
	}
	fmt.Println("total", total, runtime.GOOS)
	out, err := exec.Command("echo", "child").Output()
	fmt.Printf("%q %v\n", out, err)
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	fmt.Println(<-c)
	select {
	case <-time.After(20 * time.Millisecond):
		fmt.Println("timer")
	}
	runtime.GC()
	func() {
		defer func() { fmt.Println("recovered:", recover()) }()
		var p *int
		*p = 1
	}()
	done := make(chan bool)
	go func() { for { select { case <-done: return; default: } } }()
	time.Sleep(30 * time.Millisecond)
	close(done)
	os.WriteFile("out", []byte("written"), 0o600)
	b, _ := os.ReadFile("out")
	fmt.Println(string(b))
	os.Exit(3)
}
`,
		"sum/sum.go":      "// Package sum adds.\npackage sum\n\n// To adds up the numbers to n.\nfunc To(n int) (s int) {\n\tfor i := 0; i <= n; i++ {\n\t\ts += i\n\t}\n\treturn s\n}\n",
		"sum/sum_test.go": "package sum\n\nimport \"testing\"\n\nfunc TestTo(t *testing.T) {\n\tif To(10) != 55 {\n\t\tt.Fatal(To(10))\n\t}\n}\n",
	}
	elapsed := compare.Mask{Pattern: `\t[\d.]+s`, Replace: "\tTIME", Why: "how long the test took"}
	compare.Table(t, []compare.Case{
		{Name: "version", Script: `go version; go env GOOS GOARCH`, Env: env},
		{Name: "build-and-run", Script: `go build -o hello . && ./hello; echo $?; go vet ./... ; echo $?`, Files: files, Env: env, Timeout: 4 * time.Minute},
		{Name: "test", Script: `go test -count=1 ./sum; echo $?`, Files: files, Env: env, Timeout: 4 * time.Minute, Masks: []compare.Mask{elapsed}},
		{Name: "error", Script: `echo 'package main; func main() { x }' > m.go; go build m.go; echo $?; go run nope.go; echo $?; gofmt -l .; go list std | wc -l`, Env: env, Timeout: 2 * time.Minute},
	})
}

func js(name, source string) compare.Case {
	return compare.Case{Name: name, Args: []string{"node", "prog.js"}, Files: map[string]string{"prog.js": source}, Need: []string{"node"}}
}

func TestNode(t *testing.T) {
	compare.Table(t, []compare.Case{
		{Name: "hello", Args: []string{"node", "-e", `console.log("hello", process.platform, process.argv.length); process.exitCode = 4`}, Need: []string{"node"}},
		{Name: "throw", Args: []string{"node", "-e", `process.on("exit", c => console.log("exit", c)); process.on("uncaughtException", e => { console.log(e.message); process.exit(9) }); null.x`}, Need: []string{"node"}},
		{Name: "stdin", Args: []string{"node", "-e", `let n = 0; process.stdin.on("data", d => n += d.length).on("end", () => console.log(n))`}, Stdin: bigText(300000), Need: []string{"node"}},
		js("timers", `
const t0 = process.hrtime.bigint();
setTimeout(() => console.log('timeout 90'), 90); setTimeout(() => console.log('timeout 60'), 60);
setImmediate(() => console.log('immediate')); process.nextTick(() => console.log('tick')); Promise.resolve().then(() => console.log('micro'));
let n = 0; const i = setInterval(() => { console.log('interval', ++n); if (n == 3) clearInterval(i) }, 200);
process.on('exit', () => console.log(process.hrtime.bigint() - t0 > 80000000n));
(async () => { await require('timers/promises').setTimeout(1000); console.log('end') })();
`),
		js("worker-threads", `
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
if (isMainThread) {
  const shared = new SharedArrayBuffer(8), v = new Int32Array(shared); let done = 0; const got = [];
  for (let i = 0; i < 3; i++) {
    const w = new Worker(__filename, { workerData: { i, shared } });
    w.on('message', m => got.push(m)); w.on('exit', c => { if (++done == 3) console.log(got.sort(), Atomics.load(v, 0), c) });
  }
} else {
  const v = new Int32Array(workerData.shared);
  for (let k = 0; k < 1000; k++) Atomics.add(v, 0, 1);
  Atomics.wait(v, 1, 0, 20);
  let s = 0; for (let k = 0; k < 1e6; k++) s += k % 7;
  parentPort.postMessage([workerData.i, s]);
}
`),
		js("fs", `
const fs = require('fs'), path = require('path');
fs.mkdirSync('a/b', { recursive: true }); fs.writeFileSync('a/f', 'sync'); fs.appendFileSync('a/f', ' more'); console.log(fs.readFileSync('a/f', 'utf8'), fs.statSync('a/f').size);
fs.symlinkSync('f', 'a/l'); console.log(fs.readlinkSync('a/l'), fs.lstatSync('a/l').isSymbolicLink(), fs.readdirSync('a'), fs.realpathSync('a/l').endsWith('a/f'));
(async () => {
  const p = fs.promises; await p.writeFile('g', Buffer.alloc(200000, 'x')); const h = await p.open('g', 'r+'); await h.write('yy', 10); await h.truncate(100); await h.close();
  console.log((await p.readFile('g')).length, (await p.readdir('.')).sort()); await p.rename('g', 'h'); await p.copyFile('h', 'i'); await p.rm('a', { recursive: true });
  console.log(await p.access('a').catch(e => e.code), fs.existsSync('i')); await p.utimes('i', 1, 2); console.log((await p.stat('i')).mtimeMs, ((await p.stat('i')).mode & 0o777).toString(8));
  const w = fs.createWriteStream('s'); for (let i = 0; i < 1000; i++) w.write('line ' + i + '\n'); w.end(() => { let n = 0; fs.createReadStream('s').on('data', d => n += d.length).on('end', () => console.log('stream', n)) });
  const e = await p.readFile('nope').catch(e => e.message); console.log(e);
  const d = await p.mkdtemp('tmp-'); console.log(fs.statSync(d).isDirectory()); await Promise.all([...Array(50).keys()].map(i => p.writeFile(path.join(d, 'f' + i), '' + i))); console.log((await p.readdir(d)).length);
  const watcher = fs.watch(d, (ev, f) => { console.log('watched', ev, f); watcher.close() }); setTimeout(() => fs.writeFileSync(path.join(d, 'new'), ''), 50);
})();
`),
		js("child-process", `
const cp = require('child_process');
console.log(cp.execSync('echo sync; exit 0').toString(), cp.spawnSync('sh', ['-c', 'echo err >&2; exit 3']).status);
const c = cp.spawn('cat'); let out = ''; c.stdout.on('data', d => out += d); c.on('close', (code, sig) => { console.log(out.length, code, sig); next() }); c.stdin.end('z'.repeat(100000));
function next() {
  const k = cp.spawn('sleep', ['60']); k.on('exit', (code, sig) => { console.log(code, sig); third() }); k.kill();
}
function third() {
  cp.exec('nosuchprogram', (e, so, se) => { console.log(e.code); const bad = cp.spawn('/nope'); bad.on('error', e => { console.log(e.code); fourth() }) });
}
function fourth() {
  require('fs').writeFileSync('child.js', 'process.on("message", m => { process.send({ double: m.n * 2 }); process.disconnect() })');
  const f = cp.fork('child.js'); f.on('message', m => console.log(m)); f.on('exit', c => { console.log('forked', c); process.on('SIGUSR2', () => { console.log('usr2'); process.exit(0) }); setTimeout(() => {}, 5000); process.kill(process.pid, 'SIGUSR2') }); f.send({ n: 21 });
}
`),
		js("net-unix", `
const net = require('net');
const s = net.createServer(c => c.on('data', d => c.end(d.toString().toUpperCase()))).listen('sock', () => {
  let left = 10; for (let i = 0; i < 10; i++) { const c = net.connect('sock', () => c.write('hello')); let b = ''; c.on('data', d => b += d).on('end', () => { if (b != 'HELLO') console.log(b); if (!--left) { s.close(); console.log('ten served') } }) }
});
`),
		js("crypto-zlib-gc", `
const c = require('crypto'), z = require('zlib'); console.log(c.createHash('sha256').update('x').digest('hex'), c.randomBytes(16).length);
c.pbkdf2('p', 's', 1000, 16, 'sha1', (e, k) => console.log(k.toString('hex'))); z.gzip('a'.repeat(100000), (e, b) => z.gunzip(b, (e, d) => console.log(d.length)));
let a = []; for (let i = 0; i < 300000; i++) { a.push({ i, s: 'v' + i }); if (a.length > 5000) a = [] } console.log(process.memoryUsage().heapUsed > 0, os = require('os').cpus().length > 0);
`),
		js("tcp-http", `
const http = require('http');
const s = http.createServer((q, r) => r.end('got ' + q.url)).listen(0, '127.0.0.1', () => http.get({ port: s.address().port, path: '/x' }, r => r.on('data', d => console.log('' + d)).on('end', () => s.close())));
`),
	})
}

func TestJava(t *testing.T) {
	stamp := []string{"java"}
	compare.Table(t, []compare.Case{
		{Name: "version", Args: []string{"java", "-version"}, Need: stamp, Timeout: 2 * time.Minute},
		{Name: "compile-and-run", Script: `javac Hello.java && java -cp . Hello one two; echo $?`, Need: []string{"java", "javac"}, Timeout: 3 * time.Minute,
			Files: map[string]string{"Hello.java": `import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
public class Hello {
  public static void main(String[] args) throws Exception {
    System.out.println("hello " + args.length + " " + System.getProperty("os.name"));
    ExecutorService ex = Executors.newFixedThreadPool(4);
    List<Future<Integer>> fs = new ArrayList<>();
    for (int i = 0; i < 20; i++) { int n = i; fs.add(ex.submit(() -> IntStream.range(0, n * 1000).map(x -> x % 7).sum())); }
    int total = 0; for (Future<Integer> f : fs) total += f.get();
    ex.shutdown(); System.out.println(total + " " + ex.awaitTermination(5, TimeUnit.SECONDS));
    Files.writeString(Path.of("out"), "written"); System.out.println(Files.readString(Path.of("out")) + Files.size(Path.of("out")));
    Process p = new ProcessBuilder("echo", "child").start(); System.out.print(new String(p.getInputStream().readAllBytes())); System.out.println(p.waitFor());
    try { Object o = null; o.hashCode(); } catch (NullPointerException e) { System.out.println("NPE"); }
    try { recurse(0); } catch (StackOverflowError e) { System.out.println("deep"); }
    byte[][] junk = new byte[50][]; for (int i = 0; i < 2000; i++) junk[i % 50] = new byte[100000]; System.gc();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("hook")));
    Thread t = new Thread(() -> { synchronized (Hello.class) { Hello.class.notify(); } });
    synchronized (Hello.class) { t.start(); Hello.class.wait(5000); } t.join();
    System.exit(5);
  }
  static int recurse(int n) { return recurse(n + 1) + 1; }
}
`}},
		{Name: "interpreted", Args: []string{"java", "-Xint", "-Xshare:off", "-XX:+UseSerialGC", "S.java"}, Need: []string{"java", "javac"}, Timeout: 3 * time.Minute,
			Files: map[string]string{"S.java": `class S { public static void main(String[] a) { System.out.println("source launcher " + String.join(",", java.util.List.of("x", "y"))); throw new IllegalStateException("thrown"); } }`}},
	})
}

func TestSqlite(t *testing.T) {
	need := []string{"sqlite3"}
	compare.Table(t, []compare.Case{
		{Name: "memory", Args: []string{"sqlite3", ":memory:", "create table t(a, b); insert into t values (1, 'x'), (2, 'y'); select * from t order by a desc; select sqlite_version() is not null;"}, Need: need},
		{Name: "file", Script: `sqlite3 f.db 'create table t(a integer primary key, b); insert into t(b) values ("one"), ("two");'; sqlite3 f.db 'select * from t'; sqlite3 f.db '.schema' '.tables'; sqlite3 -header -csv f.db 'select * from t'; sqlite3 f.db 'select * from nope'; echo $?; sqlite3 f.db .dump | sqlite3 g.db; sqlite3 g.db 'select count(*) from t'; stat -c %s f.db; ls; echo junk > j.db; echo more junk >> j.db; sqlite3 j.db .tables; echo $?`, Need: need},
		{Name: "bulk", Script: `(echo 'create table t(a integer, b text); begin;'; for i in $(seq 1 3000); do echo "insert into t values ($i, 'row $i');"; done; echo 'commit; create index i on t(b); select count(*), sum(a) from t; delete from t where a % 3 = 0; vacuum; select count(*) from t; pragma integrity_check;') | sqlite3 b.db; stat -c %s b.db`, Need: need},
		{Name: "wal", Script: `sqlite3 w.db 'pragma journal_mode=wal; create table t(a);'; for i in 1 2 3 4; do (for j in 1 2 3 4 5 6 7 8 9 10; do sqlite3 -cmd '.timeout 20000' w.db "insert into t values ($i);"; done) & done; wait; sqlite3 w.db 'select a, count(*) from t group by a order by a; pragma wal_checkpoint; pragma journal_mode; pragma integrity_check'; (echo 'select count(*) from t;'; echo '.shell ls'; ) | sqlite3 w.db; ls`, Need: need, Timeout: 2 * time.Minute},
		{Name: "locking", Script: `sqlite3 l.db 'create table t(a)'; mkfifo go; (echo 'begin exclusive; insert into t values (1);'; echo '.shell echo held > go'; echo '.shell sleep 0.5'; echo 'commit;') | sqlite3 l.db & cat go; sqlite3 l.db 'insert into t values (2)'; echo $?; sqlite3 -cmd '.timeout 10000' l.db 'insert into t values (3)'; echo $?; wait; sqlite3 l.db 'select a from t order by a'`, Need: need},
		{Name: "rollback-journal", Script: `sqlite3 r.db 'create table t(a); insert into t values (1);'; sqlite3 r.db 'begin; insert into t values (2); rollback; select count(*) from t;'; sqlite3 r.db 'pragma journal_mode=truncate; insert into t values (3); pragma journal_mode=persist; insert into t values (4); pragma mmap_size=1000000; select sum(a) from t'; ls`, Need: need},
	})
}

func TestCrypto(t *testing.T) {
	compare.Table(t, []compare.Case{
		{Name: "ssh-keygen", Script: `ssh-keygen -q -t ed25519 -N '' -C comment -f k; ls; stat -c '%n %a' k k.pub; cut -d' ' -f1,3 k.pub; ssh-keygen -y -f k | cut -d' ' -f1,2 | cmp - <(cut -d' ' -f1,2 k.pub) && echo matches; ssh-keygen -l -f k | awk '{print $1,$3,$4}'; ssh-keygen -q -t rsa -b 2048 -N secret -f r; ssh-keygen -y -P wrong -f r; echo $?; ssh-keygen -y -P secret -f r | cut -c1-7; echo data > d; ssh-keygen -q -Y sign -f k -n file d 2>/dev/null; ls d*; ssh-keygen -l -f nope; echo $?`, Need: []string{"ssh-keygen"}, Timeout: 2 * time.Minute},
		{Name: "openssl", Script: `openssl dgst -sha256 /usr/bin/openssl; openssl rand 32 | wc -c; openssl genpkey -algorithm ed25519 -out k.pem; echo data > d; openssl pkeyutl -sign -inkey k.pem -rawin -in d -out s; openssl pkey -in k.pem -pubout -out p.pem; openssl pkeyutl -verify -pubin -inkey p.pem -rawin -in d -sigfile s; openssl enc -aes-256-cbc -pbkdf2 -pass pass:x -in d -out e; openssl enc -d -aes-256-cbc -pbkdf2 -pass pass:x -in e; openssl req -x509 -newkey rsa:2048 -nodes -keyout rk -out c.pem -subj /CN=test -days 1 2>/dev/null; openssl x509 -in c.pem -noout -subject; openssl verify -CAfile c.pem c.pem; openssl nope; echo $?`, Need: []string{"openssl"}, Timeout: 2 * time.Minute,
			Masks: []compare.Mask{{Pattern: `(?m)^[0-9A-F]{8,}:error`, Replace: "ID:error", Why: "begins with a thread's address"}}},
		{Name: "openssl-speed", Script: `openssl speed -seconds 1 -bytes 1024 -evp sha256 2>&1`, Need: []string{"openssl"}, Timeout: 2 * time.Minute,
			Masks: []compare.Mask{
				{Pattern: `\d+ sha256('s)? ops in|: \d+ \w+ ops|: \d+ sha256`, Replace: "N ops", Why: "how fast the machine is"},
				{Pattern: `[\d.]+k`, Replace: "Nk", Why: "how fast the machine is"}, {Pattern: `[\d.]+s\b`, Replace: "Ns", Why: "how fast the machine is"},
				{Pattern: ` +Nk`, Replace: " Nk", Why: "padding of the number"}, {Pattern: `CPUINFO:.*`, Replace: "CPUINFO", Why: "flags of the CPU"},
			}},
		{Name: "openssl-speed-multi", Script: `openssl speed -multi 2 -seconds 1 -bytes 1024 -evp sha1 2>/dev/null | tail -1 | cut -d' ' -f1`, Need: []string{"openssl"}, Timeout: 2 * time.Minute},
	})
}

func TestRedis(t *testing.T) {
	compare.Table(t, []compare.Case{
		{Name: "unix-socket", Script: `
redis-server --port 0 --unixsocket "$PWD/s" --daemonize no --save '' --logfile log --dir "$PWD" & p=$!
for i in $(seq 100); do redis-cli -s s ping > /dev/null 2>&1 && break; sleep 0.1; done
c() { redis-cli -s s "$@"; }
c ping; c set a 1; c incr a; c get a; c rpush l 1 2 3; c lrange l 0 -1; c hset h k v; c hgetall h; c sadd s x; c type s; c expire a 100; c ttl a | grep -c '^[0-9]'; c dbsize; c eval 'return ARGV[1] .. "!"' 0 lua; c nosuch
seq 1 2000 | sed 's/\(.*\)/set k\1 \1/' | c --pipe | tail -1; c dbsize; c debug sleep 0; c bgsave; sleep 0.5; c lastsave | grep -c '^[0-9]'; ls dump.rdb; c config set appendonly yes; c set z 1; sleep 0.3; ls -d appendonlydir
(c subscribe ch & sp=$!; sleep 0.4; c publish ch message > /dev/null; sleep 0.2; kill $sp) ; c shutdown nosave; wait $p; echo $?`, Need: []string{"redis-server", "redis-cli"}, Timeout: 2 * time.Minute},
		{Name: "signal", Script: `redis-server --port 0 --unixsocket "$PWD/s" --save '' --logfile log & p=$!; for i in $(seq 100); do [ -S s ] && break; sleep 0.1; done; redis-benchmark -s s -q -n 2000 -c 10 -t set,get 2>/dev/null | tr '\r' '\n' | grep -o '^[A-Z]*:' | sort -u; kill -TERM $p; wait $p; echo $?; grep -c 'ready to exit' log`, Need: []string{"redis-server", "redis-benchmark"}, Timeout: 2 * time.Minute},
	})
}

func TestBusybox(t *testing.T) {
	need := []string{"busybox"}
	compare.Table(t, []compare.Case{
		{Name: "echo", Args: []string{"busybox", "echo", "hello"}, Need: need},
		{Name: "shell", Args: []string{"busybox", "sh", "-c", `for i in 1 2 3; do echo $i; done | busybox wc -l; x=$(busybox seq 5 | busybox tail -1); echo $x; (exit 4); echo $?; busybox sleep 0.1 & wait; trap 'echo bye' EXIT; kill -0 $$ && echo alive; read l; echo $l`}, Stdin: "line\n", Need: need},
		{Name: "applets", Script: `b=busybox; $b ls /usr | $b head -3; $b mkdir d; $b touch d/f; $b find d; $b stat -c %a d/f; echo abc | $b sed s/b/x/; $b seq 5 | $b awk '{s+=$1} END {print s}'; $b dd if=/dev/zero bs=1k count=4 2>/dev/null | $b md5sum; $b tar cf - d | $b tar tf -; echo z | $b gzip | $b zcat; $b vi --nope; echo $?; $b nope; echo $?; $b id; $b uname -s; $b expr 6 \* 7; echo 'b
a' | $b sort; $b grep -c root /etc/passwd; $b xargs echo < /dev/null; $b env -i $b env; $b date -u -d @0; $b cp -a d e; $b diff -r d e; $b rm -r d e; $b timeout 1 $b sleep 5; echo $?; $b ps > /dev/null; echo $?; $b df > /dev/null; echo $?; $b mount > /dev/null; echo $?; $b usleep 1000; $b true; echo $?`, Need: need,
			Masks: []compare.Mask{pidMask}},
		{Name: "ash-script", Args: []string{"busybox", "ash", "prog.sh", "a", "b"}, Files: map[string]string{"prog.sh": "f() { local i=0; while [ $i -lt 500 ]; do i=$((i + 1)); done; echo $i; }\nf; echo $# $2; cat <<E\nhere $1\nE\necho one two | (read a b; echo $b); set -- x y z; shift; echo $*; exit 6\n"}, Need: need},
		{Name: "pipes", Args: []string{"busybox", "sh", "-c", `busybox yes | busybox head -n 50000 | busybox md5sum; busybox seq 1000 | busybox cat | busybox cat | busybox tail -n 1`}, Need: need},
	})
}

func TestBinutils(t *testing.T) {
	compare.Table(t, []compare.Case{
		{Name: "readelf", Script: `readelf -h /bin/true; readelf -d /bin/true | grep NEEDED; objdump -f /bin/true; strings /bin/true | grep -m1 GNU; ldd /bin/true | awk '{print $1}'; LD_TRACE_LOADED_OBJECTS=1 /bin/true | wc -l; /lib64/ld-linux-x86-64.so.2 /bin/echo through the loader; /lib64/ld-linux-x86-64.so.2 --list /bin/true | wc -l; LD_DEBUG=files /bin/true 2>&1 | grep -c calling`, Need: []string{"readelf"}},
	})
}
