package database

import "testing"

func TestDBUserIsOfTheClustersPartitionRegionAndAccount(t *testing.T) {
	got, err := dbUser("arn:aws-cn:rds:cn-north-1:123456789012:cluster:todo-dev", "cluster-ABCDEFGH", "todo")
	if want := "arn:aws-cn:rds-db:cn-north-1:123456789012:dbuser:cluster-ABCDEFGH/todo"; got != want || err != nil {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	if got, err := dbUser("todo-dev", "cluster-ABCDEFGH", "todo"); err == nil {
		t.Errorf("made %s of no ARN", got)
	}
}
