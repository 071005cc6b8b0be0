-- A music shop in the manner of the sample database Chinook: names with capitals, a key and a foreign key for everything, an index for each foreign key.
-- The names are Chinook's, the text and the rows are not.

CREATE TABLE "Artist" (
	"ArtistId" integer NOT NULL,
	"Name" varchar(120),
	CONSTRAINT "PK_Artist" PRIMARY KEY ("ArtistId"));

CREATE TABLE "Genre" (
	"GenreId" integer NOT NULL,
	"Name" varchar(120),
	CONSTRAINT "PK_Genre" PRIMARY KEY ("GenreId"));

CREATE TABLE "MediaType" (
	"MediaTypeId" integer NOT NULL,
	"Name" varchar(120),
	CONSTRAINT "PK_MediaType" PRIMARY KEY ("MediaTypeId"));

CREATE TABLE "Playlist" (
	"PlaylistId" integer NOT NULL,
	"Name" varchar(120),
	CONSTRAINT "PK_Playlist" PRIMARY KEY ("PlaylistId"));

CREATE TABLE "Album" (
	"AlbumId" integer NOT NULL,
	"Title" varchar(160) NOT NULL,
	"ArtistId" integer NOT NULL,
	CONSTRAINT "PK_Album" PRIMARY KEY ("AlbumId"),
	CONSTRAINT "FK_AlbumArtistId" FOREIGN KEY ("ArtistId") REFERENCES "Artist" ("ArtistId"));
CREATE INDEX "IFK_AlbumArtistId" ON "Album" ("ArtistId");

CREATE TABLE "Employee" (
	"EmployeeId" integer NOT NULL,
	"LastName" varchar(20) NOT NULL,
	"FirstName" varchar(20) NOT NULL,
	"Title" varchar(30),
	"ReportsTo" integer,
	"BirthDate" timestamp,
	"HireDate" timestamp,
	"Address" varchar(70),
	"City" varchar(40),
	"State" varchar(40),
	"Country" varchar(40),
	"PostalCode" varchar(10),
	"Phone" varchar(24),
	"Fax" varchar(24),
	"Email" varchar(60),
	CONSTRAINT "PK_Employee" PRIMARY KEY ("EmployeeId"),
	CONSTRAINT "FK_EmployeeReportsTo" FOREIGN KEY ("ReportsTo") REFERENCES "Employee" ("EmployeeId"));
CREATE INDEX "IFK_EmployeeReportsTo" ON "Employee" ("ReportsTo");

CREATE TABLE "Customer" (
	"CustomerId" integer NOT NULL,
	"FirstName" varchar(40) NOT NULL,
	"LastName" varchar(20) NOT NULL,
	"Company" varchar(80),
	"Address" varchar(70),
	"City" varchar(40),
	"State" varchar(40),
	"Country" varchar(40),
	"PostalCode" varchar(10),
	"Phone" varchar(24),
	"Fax" varchar(24),
	"Email" varchar(60) NOT NULL,
	"SupportRepId" integer,
	CONSTRAINT "PK_Customer" PRIMARY KEY ("CustomerId"),
	CONSTRAINT "FK_CustomerSupportRepId" FOREIGN KEY ("SupportRepId") REFERENCES "Employee" ("EmployeeId"));
CREATE INDEX "IFK_CustomerSupportRepId" ON "Customer" ("SupportRepId");

CREATE TABLE "Invoice" (
	"InvoiceId" integer NOT NULL,
	"CustomerId" integer NOT NULL,
	"InvoiceDate" timestamp NOT NULL,
	"BillingAddress" varchar(70),
	"BillingCity" varchar(40),
	"BillingState" varchar(40),
	"BillingCountry" varchar(40),
	"BillingPostalCode" varchar(10),
	"Total" numeric(10,2) NOT NULL,
	CONSTRAINT "PK_Invoice" PRIMARY KEY ("InvoiceId"),
	CONSTRAINT "FK_InvoiceCustomerId" FOREIGN KEY ("CustomerId") REFERENCES "Customer" ("CustomerId"));
CREATE INDEX "IFK_InvoiceCustomerId" ON "Invoice" ("CustomerId");

CREATE TABLE "Track" (
	"TrackId" integer NOT NULL,
	"Name" varchar(200) NOT NULL,
	"AlbumId" integer,
	"MediaTypeId" integer NOT NULL,
	"GenreId" integer,
	"Composer" varchar(220),
	"Milliseconds" integer NOT NULL,
	"Bytes" integer,
	"UnitPrice" numeric(10,2) NOT NULL,
	CONSTRAINT "PK_Track" PRIMARY KEY ("TrackId"),
	CONSTRAINT "FK_TrackAlbumId" FOREIGN KEY ("AlbumId") REFERENCES "Album" ("AlbumId"),
	CONSTRAINT "FK_TrackGenreId" FOREIGN KEY ("GenreId") REFERENCES "Genre" ("GenreId"),
	CONSTRAINT "FK_TrackMediaTypeId" FOREIGN KEY ("MediaTypeId") REFERENCES "MediaType" ("MediaTypeId"));
CREATE INDEX "IFK_TrackAlbumId" ON "Track" ("AlbumId");
CREATE INDEX "IFK_TrackGenreId" ON "Track" ("GenreId");
CREATE INDEX "IFK_TrackMediaTypeId" ON "Track" ("MediaTypeId");

CREATE TABLE "InvoiceLine" (
	"InvoiceLineId" integer NOT NULL,
	"InvoiceId" integer NOT NULL,
	"TrackId" integer NOT NULL,
	"UnitPrice" numeric(10,2) NOT NULL,
	"Quantity" integer NOT NULL,
	CONSTRAINT "PK_InvoiceLine" PRIMARY KEY ("InvoiceLineId"),
	CONSTRAINT "FK_InvoiceLineInvoiceId" FOREIGN KEY ("InvoiceId") REFERENCES "Invoice" ("InvoiceId"),
	CONSTRAINT "FK_InvoiceLineTrackId" FOREIGN KEY ("TrackId") REFERENCES "Track" ("TrackId"));
CREATE INDEX "IFK_InvoiceLineInvoiceId" ON "InvoiceLine" ("InvoiceId");
CREATE INDEX "IFK_InvoiceLineTrackId" ON "InvoiceLine" ("TrackId");

CREATE TABLE "PlaylistTrack" (
	"PlaylistId" integer NOT NULL,
	"TrackId" integer NOT NULL,
	CONSTRAINT "PK_PlaylistTrack" PRIMARY KEY ("PlaylistId", "TrackId"),
	CONSTRAINT "FK_PlaylistTrackPlaylistId" FOREIGN KEY ("PlaylistId") REFERENCES "Playlist" ("PlaylistId"),
	CONSTRAINT "FK_PlaylistTrackTrackId" FOREIGN KEY ("TrackId") REFERENCES "Track" ("TrackId"));
CREATE INDEX "IFK_PlaylistTrackPlaylistId" ON "PlaylistTrack" ("PlaylistId");
CREATE INDEX "IFK_PlaylistTrackTrackId" ON "PlaylistTrack" ("TrackId");

INSERT INTO "Artist" VALUES (1, 'The Lamplighters'), (2, NULL);
INSERT INTO "Genre" VALUES (1, 'Folk'), (2, 'Waltz');
INSERT INTO "MediaType" VALUES (1, 'Record'), (2, 'File');
INSERT INTO "Playlist" VALUES (1, 'Evening'), (2, NULL);
INSERT INTO "Album" VALUES (1, 'Wicks', 1), (2, 'Untitled', 2);
INSERT INTO "Employee" ("EmployeeId", "LastName", "FirstName", "Title", "ReportsTo", "HireDate", "Country") VALUES
	(1, 'Ivy', 'Ina', 'Manager', NULL, '2003-04-05', 'Chile'), (2, 'Juniper', 'Jo', NULL, 1, NULL, NULL);
INSERT INTO "Customer" ("CustomerId", "FirstName", "LastName", "Company", "City", "Email", "SupportRepId") VALUES
	(1, 'Kim', 'Kapok', 'Kapok & Sons', 'Lima', 'kim@example.org', 2), (2, 'Lou', 'Larch', NULL, NULL, 'lou@example.org', NULL);
INSERT INTO "Invoice" ("InvoiceId", "CustomerId", "InvoiceDate", "BillingCity", "Total") VALUES (1, 1, '2009-01-01', 'Lima', 1.98), (2, 2, '2009-02-01 12:30', NULL, 0.99);
INSERT INTO "Track" VALUES (1, 'Flicker', 1, 1, 1, 'I. Ivy', 184000, 4500000, 0.99), (2, 'Snuffed', 1, 2, NULL, NULL, 90000, NULL, 0.99), (3, 'Ash', NULL, 2, 2, NULL, 1000, 1, 1.99);
INSERT INTO "InvoiceLine" VALUES (1, 1, 1, 0.99, 1), (2, 1, 2, 0.99, 1), (3, 2, 2, 0.99, 1);
INSERT INTO "PlaylistTrack" VALUES (1, 1), (1, 2), (2, 3);
ANALYZE;
