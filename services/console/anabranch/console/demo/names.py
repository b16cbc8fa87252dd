"""Words an invented organisation is put together from.

The names are common ones of many languages, joined by chance; no real person is meant. Accents, apostrophes, hyphens
and spaces are there on purpose: an account name has to be made of each of them. The lists are short enough that many
people share first and last name, as in any organisation of some size.
"""

from __future__ import annotations

from typing import Final


def _words(text: str) -> tuple[str, ...]:
    """The words of a text; an underscore is a space within one."""
    return tuple(word.replace("_", " ") for word in text.split())


FIRST: Final = _words(
    """
    Ada Adrián Agnès Aisha Alan Albert Alejandro Alice Amélie Amir Ana Anders André Andrea Ángel Anna Anouk
    Anton Arjun Åsa Astrid Aurélie Ayşe Beatriz Ben Bénédicte Bianca Björn Boris Bronwyn Camille Carlos Carmen
    Caroline Cathal Céline Chidi Chloé Christine Ciara Clara Claudia Dániel Daniela David Deirdre Diana Dieter
    Dmitri Dorothea Edith Eduardo Elena Eléonore Elif Elisa Emeka Emil Emma Erik Esther Étienne Eva Fatima
    Federico Felix Fernanda Fiona Florence François Frédéric Freya Gabriel Georg Giulia Grace Günther Hana Hanna
    Harald Hassan Heidi Helena Hélène Henrik Hugo Ibrahim Ida Ines Ingrid Irene Isabel Ivan Jakob Jamal Jana
    Javier Jean-Luc Jens Joana Johan John José Judith Jürgen Kai Karim Katarzyna Kenji Kirsten Klára Lars Laura
    Léa Lena Leon Lin Linda Louis Lucía Luis Luka Magda Malik Manuel Marc Margit María Marie-Claire Marta Martin
    Mary Mateo Matthias Mei Michael Milan Mónica Nadia Naomi Niamh Nicolás Niels Nora Núria Olga Oliver Omar
    Óscar Paolo Patricia Paul Petra Pierre Priya Rachel Rafael Renée Robert Rosa Ruth Samuel Sara Sebastián Seán
    Siobhán Sofía Søren Stefan Susan Sven Tamara Teresa Thomas Tomás Ulrike Valérie Vera Víctor Walter Wei
    Yasmin Yusuf Zoë
    """
)

LAST: Final = _words(
    """
    Abbott Abe Acar Adams Adeyemi Ågren Aguilar Ahmed Allen Almeida Álvarez Andersen Anderson André Aoki Baker
    Bauer Becker Bell Benítez Bennett Berg Bergström Bianchi Björk Blanc Böhm Bonnet Borg Boyle Brandt Braun
    Brennan Brown Bruno Byrne Campbell Cardoso Carlsson Castillo Černý Chen Clark Collins Colombo Costa Cruz
    D'Amico D'Angelo Dahl Dąbrowska Davies De_Boer de_la_Cruz de_Vries Delacroix Demir Díaz Dubois Dumont Dupont
    Eder Edwards Engel Eriksson Esposito Evans Faure Fernández Ferrari Fischer Fleming Flores Forsberg Foster
    Fournier Frank Fuchs Gallagher García Gauthier Girard Gómez Gonçalves González Graf Gray Green Gruber Günter
    Gutiérrez Haas Hahn Hall Hansen Harris Hartmann Hashimoto Heikkinen Henry Hernández Herrera Hoffmann Horváth
    Huang Hughes Ibáñez Ito Ivanov Jackson Jäger James Jansen Jensen Jiménez Johansson Johnson Jones Jørgensen
    Kaplan Kaur Keller Kelly Khan Kim King Klein Koch Köhler König Korhonen Kovács Kowalski Krause Krüger Kumar
    Lam Lambert Lang Larsen Laurent Lee Lefèvre Lehmann Leroy Lévy-Martin Lewis Lindqvist López Lund Lynch
    MacDonald Maier Marino Marques Martin Martínez Mayer McCarthy Mehta Mendoza Mercier Meyer Mitchell Molina
    Möller Moore Morales Moreau Moretti Morgan Müller Murphy Nagy Nakamura Navarro Nguyễn Nielsen Nilsson Novák
    Nowak Núñez O'Brien O'Connor O'Neill O'Sullivan Oliveira Olsen Omondi Ortiz Østergaard Ozturk Park Parker
    Pátek Patel Pedersen Peña Pérez Perrin Persson Petersen Peterson Petit Popescu Price Quinn Ramírez Ramos
    Reed Reyes Ricci Richter Rivera Roberts Robinson Rodríguez Rojas Romano Rossi Roth Roy Ruiz Russo Sánchez
    Santos Sato Schäfer Schmid Schmidt Schneider Scholz Schröder Schulz Schwarz Scott Silva Šimek Simon Singh
    Smith Sørensen Sousa Stein Stewart Suzuki Svensson Szabó Takahashi Tanaka Taylor Thomas Thompson Tóth Turner
    Van_Damme van_den_Berg Varga Vázquez Vega Virtanen Vogel Wagner Walker Wang Ward Watson Weber Weiß White
    Williams Wilson Winkler Wolf Wood Wright Yamada Yılmaz Young Zhang Ziegler Zimmermann
    """
)

DEPARTMENTS: Final = _words(
    """
    Accounting Archives Brand Buildings Business_Analysis Catering Chemistry Communications Compliance
    Construction Controlling Customer_Care Data_Platform Design Digital_Learning Electrical_Engineering Energy
    Environment Events Field_Service Finance Fleet_&_Transport Health_&_Safety Housing Human_Resources
    Infrastructure Insurance Internal_Audit International Laboratories Legal Library Logistics Maintenance
    Manufacturing Marketing Materials Mechanical_Engineering Medical_Service Networks Operations Partnerships
    Payroll Planning Press Procurement Product Quality Real_Estate Research Risk Sales Security Service_Desk
    Software Strategy Tax Training Treasury Warehouse
    """
)

TEAMS: Final = _words(
    """
    Analysis Central Coordination Customers Development Early_Shift East Field Late_Shift North Office Projects
    Reporting South Standards Support Systems West
    """
)

TITLES: Final = _words(
    """
    Accountant Analyst Apprentice Architect Assistant Buyer Clerk Consultant Controller Coordinator Designer
    Developer Driver Editor Electrician Engineer Expert Inspector Instructor Laboratory_Assistant Librarian
    Mechanic Nurse Officer Planner Researcher Specialist Technician Writer
    """
)

LEVELS: Final = ("foundation", "advanced", "expert")
