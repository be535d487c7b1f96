package e2e

var imageMistakes = []mutation{
	{
		name: "the image by its tag", file: "image/image.go",
		right: `image.Reference = built.RepoDigest`, wrong: `image.Reference = built.ImageName`,
		tests: `TestService: - ":`,
	},
	{
		name: "an image for another platform", file: "image/image.go",
		right: `pulumi.String(platform),`, wrong: `pulumi.String("linux/arm64"),`,
		tests: `TestImageIsBuiltForAppRunner: build has platform linux/arm64, want linux/amd64`,
		at:    atUp, says: `exec format error (the image is for linux/arm64, App Runner runs linux/amd64)`,
	},
	{
		name: "a Dockerfile where there is none", file: "image/image.go",
		right: `pulumi.String(dockerfile(args.Context)),`, wrong: `pulumi.String(dockerfileName),`,
		tests: `TestImageIsBuiltForAppRunner: build has dockerfile Dockerfile, want ../Dockerfile`,
		at:    atPreview, says: `could not open dockerfile at relative path "Dockerfile"`,
	},
	{
		name: "the program's folder for the image's context", file: "stack/stack.go",
		right: `Context: repositoryRoot,`, wrong: `Context: ".",`,
		tests: `TestService: Dockerfile: file does not exist`,
	},
	{
		name: "an image that does not know its version", file: "image/image.go",
		right: `versionArg: pulumi.String(from.version),`, wrong: `"APP_VERSION": pulumi.String(from.version),`,
		at: atReady, says: `the service says version dev, the stack`,
	},
	{
		name: "an image pushed beside its repository", file: "image/image.go",
		right: `pulumi.Sprintf("%s:%s", repository.RepositoryUrl, from.tag()),`, wrong: `pulumi.Sprintf("%s/%s:%s", repository.RepositoryUrl, "todo", from.tag()),`,
		at: atUp, says: `does not exist in the registry with id '123456789012'`,
	},
	{
		name: "the registry's password in plain text", file: "image/image.go",
		right: `pulumi.ToSecret(login.Password()).(pulumi.StringOutput),`, wrong: `login.Password(),`,
		tests: `TestImageIsBuiltForAppRunner: the registry's password is not a secret`,
	},
	{
		name: "an image rebuilt for a new README", file: "image/source.go",
		right: `case name == dockerfileName, name == ignoreName, !skip && !entry.IsDir():`, wrong: `case !entry.IsDir():`,
		tests: `TestContextFiles: - "README.md",`,
	},
	{
		name: "tags that do not move", file: "image/repository.go",
		right: `pulumi.String("MUTABLE"),`, wrong: `pulumi.String("IMMUTABLE"),`,
		tests: `TestRepository: - "imageTagMutability": string("IMMUTABLE"),`,
	},
	{
		name: "a repository that cannot be destroyed", file: "image/repository.go",
		right: `pulumi.Bool(!protect),`, wrong: `pulumi.Bool(protect),`,
		tests: `TestRepository: - "forceDelete": bool(false),`,
		at:    atDestroy, says: `RepositoryNotEmptyException`,
	},
	{
		name: "images without Pulumi's protection", file: "image/repository.go",
		right: `}, inside, pulumi.Protect(protect))`, wrong: `}, inside)`,
		tests: `TestRepository: repository with protect true is protected: false`,
	},
	{
		name: "images that nobody scans", file: "image/repository.go",
		right: `ScanOnPush: pulumi.Bool(true)`, wrong: `ScanOnPush: pulumi.Bool(false)`,
		tests: `TestRepository: - "imageScanningConfiguration": map[string]any{"scanOnPush": bool(false)},`,
	},
	{
		name: "only images without a tag expire", file: "image/repository.go",
		right: `TagStatus: "any",`, wrong: `TagStatus: "untagged",`,
		tests: `TestLifecycleKeepsTheNewest: - "tagStatus": string("untagged"),`,
	},
	{
		name: "a lifecycle that ECR does not know", file: "image/repository.go",
		right: `CountType: "imageCountMoreThan",`, wrong: `CountType: "imageCountMoreThen",`,
		tests: `TestLifecycleKeepsTheNewest: - "countType": string("imageCountMoreThen"),`,
		at:    atUp, says: `countType "imageCountMoreThen" must be imageCountMoreThan or sinceImagePushed`,
	},
}
