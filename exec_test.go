package sysemu

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// launcher runs each file that is named on standard input and says how that
// went.
const launcher = hogHeader + `int main() {
	static char file[4096];
	while (fgets(file, sizeof file, stdin)) {
		file[strcspn(file, "\n")] = 0;
		int p[2], e = 0, st = 0;
		pipe2(p, O_CLOEXEC);
		pid_t pid = fork();
		if (!pid) {
			struct rlimit none = {0, 0};
			setrlimit(RLIMIT_CORE, &none);
			alarm(1);
			char *argv[] = {"x", 0}, *envp[] = {0};
			execve(file, argv, envp);
			write(p[1], &errno, sizeof errno);
			_exit(99);
		}
		close(p[1]);
		int n = read(p[0], &e, sizeof e);
		close(p[0]);
		waitpid(pid, &st, 0);
		errno = e;
		if (n == sizeof e) printf("%s %s\n", file, name());
		else if (WIFSIGNALED(st)) printf("%s signal %d\n", file, WTERMSIG(st));
		else printf("%s exit %d\n", file, WEXITSTATUS(st));
		fflush(stdout);
	}
}`

// Broken and hostile ELF files get what Linux gives them: an errno, a signal,
// or they run. Small static programs are compared with the host; what would
// let a mutilated dynamic loader loose on the host runs inside only.
func TestHostileELF(t *testing.T) {
	run := buildC(t, launcher)
	small := buildC(t, `void _start(void) { __asm__("mov $60,%eax; mov $7,%edi; syscall"); }`, "-nostdlib", "-static", "-Wl,-z,noseparate-code", "-Wl,--build-id=none", "-s")
	dynamic := buildC(t, `int main() { return 7; }`)
	n := 150
	if testing.Short() {
		n = 30
	}
	interesting := []uint64{0, 1, 2, 3, 4, 7, 8, 0x38, 0x40, 0xff, 0xfff, 0x1000, 0x1001, 0xffff, 0x10000, 1 << 31, 1<<32 - 1, 1 << 32, 1 << 40, 1<<47 - 4096, 1 << 47, 1<<47 + 4096, 1 << 62, 1<<63 - 1, 1 << 63, ^uint64(0), ^uint64(4095)}
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(1, 2))
	var both, inside []string
	add := func(list *[]string, name string, content []byte) {
		f := filepath.Join(dir, name)
		if err := os.WriteFile(f, content, 0o755); err != nil {
			t.Fatal(err)
		}
		*list = append(*list, f)
	}
	for kind, bin := range map[string]string{"small": small, "dynamic": dynamic} {
		good, err := os.ReadFile(bin)
		if err != nil {
			t.Fatal(err)
		}
		list := &both
		if kind == "dynamic" {
			list = &inside
		}
		add(list, kind+"-good", good)
		for _, size := range []int{1, 2, 3, 4, 5, 16, 17, 40, 52, 63, 64, 65, 100, 119, 120, 121, 175, 176, 200, 255, 256, 257, 300} {
			if size < len(good) {
				add(list, fmt.Sprintf("%s-cut-%d", kind, size), good[:size])
			}
		}
		headers := 64 + 56*int(binary.LittleEndian.Uint16(good[56:]))
		for i := range n {
			b := append([]byte(nil), good...)
			var what []string
			for range 1 + rnd.IntN(2) {
				size := []int{1, 2, 4, 8}[rnd.IntN(4)]
				at := rnd.IntN(headers-size) &^ (size - 1)
				v := interesting[rnd.IntN(len(interesting))]
				if rnd.IntN(4) == 0 {
					v = rnd.Uint64()
				}
				var raw [8]byte
				binary.LittleEndian.PutUint64(raw[:], v)
				copy(b[at:at+size], raw[:])
				what = append(what, fmt.Sprintf("%d@%d=%x", size, at, v))
			}
			add(list, fmt.Sprintf("%s-%d-%s", kind, i, strings.Join(what, ",")), b)
		}
	}
	native := exec.Command(run)
	native.Stdin = strings.NewReader(strings.Join(both, "\n") + "\n")
	want, err := native.Output()
	if err != nil {
		t.Fatal(err)
	}
	m := testMachine(t)
	within(t, 120*time.Second, "hostile ELF files", func() {
		for _, list := range []*[]string{&both, &inside} {
			c := m.Command(run)
			c.Stdin = strings.NewReader(strings.Join(*list, "\n") + "\n")
			got, err := c.Output()
			if err != nil {
				t.Fatalf("%v: %q", err, got)
			}
			lines := strings.Split(strings.TrimSpace(string(got)), "\n")
			if len(lines) != len(*list) {
				t.Fatalf("%d results of %d", len(lines), len(*list))
			}
			if list == &inside {
				continue
			}
			for i, w := range strings.Split(strings.TrimSpace(string(want)), "\n") {
				if w != lines[i] {
					t.Errorf("%s, on the host %s", strings.TrimPrefix(lines[i], dir+"/"), w[strings.Index(w, " ")+1:])
				}
			}
		}
	})
}
