package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/sysemu/sysemu"
	"github.com/sysemu/sysemu/policy"
)

// policyFlags say what programs may do.
type policyFlags struct {
	Policy    string   `placeholder:"FILE" type:"path" help:"Apply a policy: which calls programs may make, on which files and addresses (docs/policy.md)."`
	Deny      []string `placeholder:"RULE" sep:"none" help:"Deny calls, before the policy's own rules: names, and an error before or conditions after them, as in 'EACCES %file path=/etc/**'."`
	Allow     []string `placeholder:"RULE" sep:"none" help:"Allow calls, before --deny and the policy's own rules."`
	PolicyLog bool     `name:"policy-log" help:"Show what is denied, and what log rules match, on standard error."`
	Learn     string   `placeholder:"FILE" type:"path" help:"At the end, write to FILE a policy that allows what the programs have done, and nothing else."`

	learner *policy.Learner
}

// policyOptions are the machine's options for them.
func (f *policyFlags) policyOptions(std streams) ([]sysemu.Option, error) {
	var opts []sysemu.Option
	p, err := f.policy()
	if err != nil {
		return nil, err
	}
	if p != nil {
		var log []policy.Option
		if f.PolicyLog {
			log = append(log, policy.WithLog(func(e *policy.Event) { fmt.Fprintf(std.err, "sysemu: policy: %v\n", e) }))
		}
		mw, err := policy.Middleware(p, log...)
		if err != nil {
			return nil, usageError{err}
		}
		opts = append(opts, sysemu.WithMiddleware(mw))
	} else if f.PolicyLog {
		return nil, usageError{errors.New("--policy-log goes with --policy, --deny or --allow")}
	}
	if f.Learn != "" {
		f.learner = &policy.Learner{}
		opts = append(opts, sysemu.WithMiddleware(f.learner.Middleware))
	}
	return opts, nil
}

// policy is what the flags come to; nil: there is none.
func (f *policyFlags) policy() (*policy.Policy, error) {
	p := &policy.Policy{}
	if f.Policy != "" {
		b, err := os.ReadFile(f.Policy)
		if err != nil {
			return nil, usageError{fmt.Errorf("--policy: %w", plain(err))}
		}
		if strings.HasPrefix(strings.TrimSpace(string(b)), "{") {
			err = json.Unmarshal(b, p)
		} else {
			p, err = policy.Parse(string(b))
		}
		if err != nil {
			return nil, usageError{fmt.Errorf("%s: %s", f.Policy, strings.TrimPrefix(err.Error(), "policy: "))}
		}
	}
	var first []policy.Rule
	for _, l := range []struct {
		action string
		rules  []string
	}{{"allow", f.Allow}, {"deny", f.Deny}} {
		for _, text := range l.rules {
			one, err := policy.Parse(l.action + " " + text)
			if e := (*policy.ParseError)(nil); errors.As(err, &e) {
				return nil, usageError{fmt.Errorf("--%s %q: at %d: %s", l.action, text, e.Column-len(l.action)-2, e.Reason)}
			}
			first = append(first, one.Rules...)
		}
	}
	if f.Policy == "" && len(first) == 0 {
		return nil, nil
	}
	p.Rules = append(first, p.Rules...)
	return p, nil
}

// writeLearnt writes --learn's file.
func (f *policyFlags) writeLearnt(program []string) error {
	if f.learner == nil {
		return nil
	}
	text := fmt.Sprintf("# Learnt from: %q\n# Apply with: sysemu run --policy FILE (docs/policy.md)\n%v", program, f.learner.Policy())
	if err := os.WriteFile(f.Learn, []byte(text), 0o666); err != nil {
		return fmt.Errorf("--learn: %w", plain(err))
	}
	return nil
}

// notNative is a flag that was given and holds for programs in a machine only: nobody should believe that it is in force
// otherwise.
func (r *runCmd) notNative() string {
	for _, f := range []struct {
		flag  string
		given bool
	}{
		{"--policy", r.Policy != ""}, {"--deny", len(r.Deny) > 0}, {"--allow", len(r.Allow) > 0}, {"--learn", r.Learn != ""},
		{"--cpu-time", r.CPUTime != 0}, {"--wall-time", r.WallTime != 0}, {"--file-size", r.FileSize != 0}, {"--disk", r.Disk != 0},
		{"--open-files", r.OpenFiles != 0}, {"--result", r.Result != ""},
		{"--image", r.Image != ""}, {"--mount", len(r.Mount) > 0}, {r.noChanges(), r.noChanges() != ""},
	} {
		if f.given {
			return f.flag
		}
	}
	return ""
}
