SELECT format('CREATE DATABASE %I TEMPLATE %I', $1::text, current_database()::text)
