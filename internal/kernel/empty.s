// So that clock.go may declare a function without a body.
