package loader

import (
	"errors"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// argvPrinter is a program with a short name that prints its arguments.
func argvPrinter(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "p")
	src := path + ".c"
	os.WriteFile(src, []byte("#include <stdio.h>\nint main(int c, char **v) { for (int i = 0; i < c; i++) { fputs(v[i], stdout); putchar(1); } }\n"), 0o666)
	if out, err := exec.Command("gcc", "-O1", "-static", "-o", path, src).CombinedOutput(); err != nil {
		t.Skipf("gcc: %v\n%s", err, out)
	}
	return path
}

// hostScript runs a script on the host: the argument vector that its
// interpreter gets, or the error.
func hostScript(t *testing.T, path, text string, argv []string) ([]string, error) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Args = argv
	out, err := cmd.Output()
	var errno unix.Errno
	if errors.As(err, &errno) {
		return nil, errno
	}
	list := strings.Split(string(out), "\x01")
	return list[:len(list)-1], err
}

func ourScript(path, text string, argv []string) ([]string, error) {
	head, err := ReadHead(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	s, err := ParseScript(head)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, unix.ENOEXEC
	}
	if s.Interp == "" {
		return nil, unix.EACCES
	}
	if st, err := os.Stat(s.Interp); err != nil {
		return nil, err.(*os.PathError).Err
	} else if st.IsDir() {
		return nil, unix.EACCES
	}
	return s.Argv(path, argv), nil
}

func TestScript(t *testing.T) {
	p := argvPrinter(t)
	path := filepath.Join(filepath.Dir(p), "script")
	pad := func(n int) string { return strings.Repeat(" ", n) }
	fill := func(n int) string { return strings.Repeat("x", n) }
	texts := []string{
		"#!" + p + "\n", "#!" + p, "#!" + p + " ", "#!" + p + "\t\t", "#!" + p + " \n", "#! \t" + p + " a\n",
		"#!" + p + " a b  c \t\n", "#!" + p + " a b  c \t", "#!" + p + "\x00 b\n", "#!" + p + " b\x00c\n", "#!" + p + " \x00c",
		"#!" + p + "\r\n", "#!" + p + " \r\n", "#!", "#!\n", "#! ", "#!  \n" + p + "\n", "#", "#!\x00", "#! \x00" + p + "\n",
		"#!" + pad(253), "#!" + pad(300), "#!" + pad(253-len(p)) + p, "#!" + pad(252-len(p)) + p + "\n", "#!" + pad(252-len(p)) + p + " a\n",
		"#!" + pad(251-len(p)) + p + " a\n", "#!" + pad(251-len(p)) + p + " ab\n", "#!" + pad(250-len(p)) + p + " abc\n",
		"#!" + p + " " + fill(300) + "\n", "#!" + p + pad(300) + "x\n", "#!/" + fill(300), "#!/" + fill(252), "#!/" + fill(251), "#!/" + fill(250) + "\n",
		"#!/nonexistent\n", "#!.\n", "", "x", "#!" + p + " a\n#!b",
	}
	rnd := rand.New(rand.NewSource(1))
	parts := []string{" ", "\t", "\n", "\x00", p, "a", "b c", "\r", "#!", fill(100), pad(100), fill(7), pad(200)}
	for range 150 {
		text := "#!"
		for range rnd.Intn(8) {
			text += parts[rnd.Intn(len(parts))]
		}
		texts = append(texts, text)
	}
	for _, text := range texts {
		for _, argv := range [][]string{{"zero", "one", "two"}, {"zero"}} {
			want, wantErr := hostScript(t, path, text, argv)
			got, err := ourScript(path, text, argv)
			if err != wantErr || !slices.Equal(got, want) {
				t.Errorf("%q: %v, host %v\n%s", text, err, wantErr, cmp.Diff(want, got))
			}
		}
	}
}

// TestMaxInterpreters: the host follows as many, and not one more.
func TestMaxInterpreters(t *testing.T) {
	prev := argvPrinter(t)
	for i := range MaxInterpreters + 1 {
		path := filepath.Join(filepath.Dir(prev), "s"+string(rune('0'+i)))
		_, err := hostScript(t, path, "#!"+prev+"\n", []string{"x"})
		if want := i == MaxInterpreters; errors.Is(err, unix.ELOOP) != want {
			t.Errorf("%d interpreters: %v", i+1, err)
		}
		prev = path
	}
}
