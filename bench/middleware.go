package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/sysemu/sysemu"
)

// machineRole is this program's first argument when it is to be a machine that runs a program: the second says with what
// middleware, the others are the program.
const machineRole = "machine-with"

var middlewares = map[string][]sysemu.Option{
	"none":  nil,
	"empty": {sysemu.WithMiddleware(emptyMiddleware)},
	"only":  {sysemu.WithMiddleware(sysemu.Only(emptyMiddleware, "open", "openat", "unlink", "unlinkat"))},
}

func emptyMiddleware(next sysemu.Handler) sysemu.Handler {
	return sysemu.HandlerFunc(func(c *sysemu.Call) (uint64, error) { return next.ServeCall(c) })
}

// machineWith is main in that role.
func machineWith(args []string) error {
	opts, ok := middlewares[args[0]]
	if !ok || len(args) < 2 {
		return fmt.Errorf("%s: which middleware, which program?", machineRole)
	}
	m, err := sysemu.New(opts...)
	if err != nil {
		return err
	}
	defer m.Close()
	cmd := m.Command(args[1], args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

// withMiddleware is a micro-benchmark in a machine both times: in the native column without middleware, in sysemu's with
// it. The ratio is then what the middleware costs.
func withMiddleware(title, name, middleware string) benchmark {
	bm := micro(name, "1.03x")
	inner := bm.once
	bm.name = title
	bm.once = func(ctx context.Context, b *bench, p peer) ([]float64, string, error) {
		self, err := os.Executable()
		if err != nil {
			return nil, "", err
		}
		with := middleware
		switch {
		case len(p.prefix) == 0:
			with = "none"
		case p.name != "sysemu":
			return nil, "", errors.New("it has no middleware")
		}
		p.prefix = []string{self, machineRole, with}
		return inner(ctx, b, p)
	}
	return bm
}

func middlewareBenchmarks() []benchmark {
	return []benchmark{
		withMiddleware("no / empty middleware: getppid", "getppid", "empty"),
		withMiddleware("no / Only on other calls: getppid", "getppid", "only"),
	}
}
