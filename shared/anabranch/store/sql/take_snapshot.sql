-- A snapshot's name is no parameter; the server makes it of hexadecimal digits and dashes.
SET TRANSACTION SNAPSHOT '@snapshot'
