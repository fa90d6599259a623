/* Shadows the theme's icon script of 1.5 MB: its icons are drawn by a font (light.py). */
