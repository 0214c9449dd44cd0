throw new Error("The source of a server, which a folder does not have");
