package iampolicy_test

import (
	"testing"

	"example.com/todo/infra/iampolicy"
)

func TestJSON(t *testing.T) {
	tests := map[string]struct {
		document iampolicy.Document
		want     string
	}{
		"trust": {
			iampolicy.Trust("tasks.apprunner.amazonaws.com"),
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` +
				`"Principal":{"Service":"tasks.apprunner.amazonaws.com"},"Action":["sts:AssumeRole"]}]}`,
		},
		"permissions": {
			iampolicy.Permissions(
				iampolicy.Allow("arn:aws-cn:s3:::x", "s3:GetObject", "s3:PutObject"),
				iampolicy.Allow(iampolicy.Everything, "s3:ListAllMyBuckets"),
			),
			`{"Version":"2012-10-17","Statement":[` +
				`{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":["arn:aws-cn:s3:::x"]},` +
				`{"Effect":"Allow","Action":["s3:ListAllMyBuckets"],"Resource":["*"]}]}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := test.document.JSON()
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}
