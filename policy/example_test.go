package policy_test

import (
	"encoding/json"
	"fmt"
	"log"
	"syscall"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/policy"
)

// A program that may read what it likes, but for one file.
func Example() {
	p, err := policy.Parse(`
deny EACCES  %file  mode=r  path=/etc/passwd
`)
	if err != nil {
		log.Fatal(err)
	}
	mw, err := policy.Middleware(p)
	if err != nil {
		log.Fatal(err)
	}
	m, err := sysemu.New(sysemu.WithMiddleware(mw))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	// By whatever name it is called.
	out, _ := m.Command("cat", "/proc/self/root/etc/../etc/passwd").CombinedOutput()
	fmt.Printf("%s", out)
	// Output: cat: /proc/self/root/etc/../etc/passwd: Permission denied
}

func ExampleParse() {
	_, err := policy.Parse("default deny\nallow open path=etc/passwd\n")
	fmt.Println(err)
	// Output: policy: line 2, column 17: "etc/passwd" does not begin with /
}

func ExamplePolicy() {
	p := policy.Policy{
		Default: policy.Deny,
		Rules: []policy.Rule{
			{Action: policy.Allow, Calls: "%file", Mode: policy.Read, Paths: []string{"/usr/**", "/lib/**"}},
			{Action: policy.Allow, Calls: "connect", Addrs: []string{"127.0.0.1:5432"}},
			{Action: policy.Kill, Calls: "ptrace"},
		},
	}
	fmt.Print(&p)
	b, err := json.Marshal(p)
	fmt.Println(string(b), err)
	// Output:
	// default deny
	// allow %file mode=r
	// 	path=/usr/**
	// 	path=/lib/**
	// allow connect addr=127.0.0.1:5432
	// kill ptrace
	// {"default":"deny","rules":[{"action":"allow","calls":"%file","paths":["/usr/**","/lib/**"],"mode":"r"},{"action":"allow","calls":"connect","addrs":["127.0.0.1:5432"]},{"action":"kill","calls":"ptrace"}]} <nil>
}

// A Go function decides what files may be made.
func ExampleWithAsk() {
	p, err := policy.Parse("ask mkdir path=/tmp/*\n")
	if err != nil {
		log.Fatal(err)
	}
	mw, err := policy.Middleware(p, policy.WithAsk(func(c *sysemu.Call, a *sysemu.Access) policy.Decision {
		fmt.Printf("may %s make %s?\n", c.Name(), a.Path)
		return policy.Decision{Action: policy.Deny, Errno: syscall.EDQUOT}
	}))
	if err != nil {
		log.Fatal(err)
	}
	m, err := sysemu.New(sysemu.WithMiddleware(mw))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	cmd := m.Command("mkdir", "/tmp/new")
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	out, _ := cmd.CombinedOutput()
	fmt.Printf("%s", out)
	// Output:
	// may mkdir make /tmp/new?
	// mkdir: cannot create directory '/tmp/new': Disk quota exceeded
}

func ExampleWithLog() {
	p, err := policy.Parse("log %file mode=x\ndeny %file mode=r path=/etc/passwd\n")
	if err != nil {
		log.Fatal(err)
	}
	mw, err := policy.Middleware(p, policy.WithLog(func(e *policy.Event) {
		if e.Action == policy.Deny {
			fmt.Println(e.Call, e.Path, e.Mode, e.Errno)
		}
	}))
	if err != nil {
		log.Fatal(err)
	}
	m, err := sysemu.New(sysemu.WithMiddleware(mw))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	m.Command("cat", "/etc/passwd").Run()
	// Output: openat /etc/passwd r operation not permitted
}

// What a run has done is what later ones may do.
func ExampleLearner() {
	var l policy.Learner
	m, err := sysemu.New(sysemu.WithMiddleware(l.Middleware))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	if err := m.Command("cat", "/etc/passwd").Run(); err != nil {
		log.Fatal(err)
	}
	for _, r := range l.Policy().Rules {
		for _, p := range r.Paths {
			if p == "/etc/passwd" {
				fmt.Println(r.Action, r.Mode, p)
			}
		}
	}
	// Output: allow r /etc/passwd
}
