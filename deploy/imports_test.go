package main

import (
	"os/exec"
	"strings"
	"testing"
)

// Of the other modules the command knows what they say about themselves: the outputs, the limits and the contract.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{
		"example.com/todo/infra/limit": true, "example.com/todo/infra/output": true, "example.com/todo/service/check": true,
	}
	for path := range strings.Lines(string(out)) {
		path = strings.TrimSpace(path)
		if strings.HasPrefix(path, "example.com/todo/") && !strings.HasPrefix(path, "example.com/todo/deploy") && !known[path] {
			t.Errorf("%s is imported", path)
		}
		if strings.HasPrefix(path, "github.com/pulumi/") || strings.HasPrefix(path, "github.com/aws/aws-sdk-go-v2/service/ec2") {
			t.Errorf("%s is imported: it takes minutes to compile", path)
		}
	}
}
