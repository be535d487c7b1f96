module example.com/todo/infra

go 1.26
